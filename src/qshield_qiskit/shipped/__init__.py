"""Where a wheel keeps its copies of circuits/, backends/ and experiments/."""
