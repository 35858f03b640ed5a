"""Downloads, against a server on the loopback: whole and checked, or nothing and one line that helps."""

import gzip
import hashlib
import http.server
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from hearing import HEARING
from idx_files import idx_bytes
from waiting import wait_until

from qshield_qiskit.data import idx, load_dataset, medmnist
from qshield_qiskit.data.download import RemoteFile, fetch
from qshield_qiskit.errors import InputError

BODY = bytes(range(256)) * 4000


def md5(content):
    return hashlib.md5(content).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` {path: body}; `promised` overrides a length; `stall` holds each second half back."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.promised, self.asked = {}, {}, []
        self.stall = threading.Event()
        self.stall.set()
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.promised.get(self.path, len(body))))
        self.end_headers()
        try:
            self.wfile.write(body[: len(body) // 2])
            self.server.stall.wait(30)
            self.wfile.write(body[len(body) // 2 :])
        except OSError:
            pass  # the client that a test interrupts has hung up

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.stall.set()
    server.shutdown()
    thread.join()
    server.server_close()


def everything_under(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_good_file_arrives_whole_under_its_name(server, tmp_path, capsys):
    file = RemoteFile(f"{server.address}/some/where/data.npz?download=1", md5(BODY))
    server.files["/some/where/data.npz?download=1"] = BODY
    fetch("set", [file], tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / "data.npz").read_bytes() == BODY
    assert everything_under(tmp_path) == ["new/folder/data.npz"]
    out, err = capsys.readouterr()
    assert out == "" and "data.npz" in err  # the progress bar leaves stdout to --json


def test_a_mirror_takes_the_place_of_the_publisher(server, tmp_path):
    server.files["/copy/a.gz"], server.files["/copy/b.gz"] = BODY, BODY[::-1]
    files = [
        RemoteFile("http://publisher.invalid/x/a.gz", md5(BODY)),
        RemoteFile("http://publisher.invalid/x/b.gz?v=2", md5(BODY[::-1])),
    ]
    fetch("set", files, tmp_path, f"{server.address}/copy/")
    assert server.asked == ["/copy/a.gz", "/copy/b.gz"]
    assert everything_under(tmp_path) == ["a.gz", "b.gz"]


def test_a_folder_may_be_the_mirror(tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "a.gz").write_bytes(BODY)
    fetch(
        "set",
        [RemoteFile("http://publisher.invalid/a.gz", md5(BODY))],
        tmp_path,
        (tmp_path / "copy").as_uri(),
    )
    assert (tmp_path / "a.gz").read_bytes() == BODY


def wrong_checksum(server):
    server.files["/a.gz"] = BODY[:-1] + b"?"
    return f"its md5 is {md5(BODY[:-1] + b'?')}, published is {md5(BODY)}"


def truncated_body(server):
    server.files["/a.gz"] = BODY[:1000]
    server.promised["/a.gz"] = len(BODY)
    return f"1,000 of {len(BODY):,} bytes"


def nothing_there(server):
    return "404 Not Found"


def connection_refused(server):
    server.address = "http://127.0.0.1:1"
    return "Connection refused"


def no_address(server):
    server.address = "/a/folder"
    return "data.mirror is '/a/folder'"


def broken_address(server):
    server.address = "http://[127.0.0.1"
    return "Invalid IPv6"


@pytest.mark.parametrize(
    "break_it",
    [wrong_checksum, truncated_body, nothing_there, connection_refused, no_address, broken_address],
)
def test_a_failed_download_leaves_nothing_and_says_what_to_do(break_it, server, tmp_path):
    problem = break_it(server)
    files = [RemoteFile(f"http://publisher.invalid/x/{name}", md5(BODY)) for name in ("a.gz", "b.gz")]
    with pytest.raises(InputError) as error:
        fetch("set", files, tmp_path, server.address)
    wrong_address = break_it in {nothing_there, no_address, broken_address}
    assert error.value.exit_status == (2 if wrong_address else 1)
    message = str(error.value)
    assert problem in message and "\n" not in message
    if break_it is not no_address:
        assert f"put a.gz, b.gz in {tmp_path} (published at http://publisher.invalid/x)" in message
    assert everything_under(tmp_path) == []


def test_a_root_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write to .*file/raw \(Not a directory\); set data\.root"):
        fetch("set", [RemoteFile("http://127.0.0.1:1/a", "")], tmp_path / "file" / "raw")


FETCH = f"""{HEARING}
import sys; from pathlib import Path
from qshield_qiskit.data.download import RemoteFile, fetch
fetch("set", [RemoteFile(sys.argv[1], sys.argv[2])], Path(sys.argv[3]))
"""


def fetch_in_a_process(server, folder):
    command = [sys.executable, "-c", FETCH, f"{server.address}/a.gz", md5(BODY), str(folder)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def test_an_interrupted_download_leaves_nothing(server, tmp_path):
    server.files["/a.gz"] = BODY
    server.stall.clear()
    process = fetch_in_a_process(server, tmp_path)
    wait_until(lambda: any(path.stat().st_size for path in tmp_path.iterdir()))
    assert not (tmp_path / "a.gz").exists()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == -signal.SIGINT, "or it ended by itself, when it had waited long enough"
    assert everything_under(tmp_path) == []


def test_two_processes_at_once_do_not_hurt_each_other(server, tmp_path):
    server.files["/a.gz"] = BODY
    server.stall.clear()
    processes = [fetch_in_a_process(server, tmp_path) for _ in range(2)]
    wait_until(lambda: len(everything_under(tmp_path)) == 2)
    server.stall.set()
    assert [process.wait(30) for process in processes] == [0, 0], [each.stderr.read() for each in processes]
    for process in processes:
        process.stderr.close()
    assert everything_under(tmp_path) == ["a.gz"]
    assert (tmp_path / "a.gz").read_bytes() == BODY


def test_mnist_is_downloaded_once_and_then_read_from_its_place(server, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    arrays = []
    for size in (40, 20):
        arrays += [random.integers(0, 256, (size, 5, 4), np.uint8), np.arange(size, dtype=np.uint8) % 10]
    bodies = [gzip.compress(idx_bytes(array)) for array in arrays]
    for name, body in zip(idx.FILENAMES, bodies, strict=True):
        server.files[f"/{name}.gz"] = body
    tiny = idx.IdxSet("MNIST/raw", server.address, tuple(map(md5, bodies)), tuple("0123456789"), (40, 20))
    monkeypatch.setitem(idx.IDX_SETS, "mnist", tiny)
    dataset = load_dataset("mnist", root=tmp_path, validation_fraction=0.25)
    assert everything_under(tmp_path) == sorted(f"MNIST/raw/{name}.gz" for name in idx.FILENAMES)
    np.testing.assert_array_equal(dataset.test.images.numpy(), arrays[2][:, None] / np.float32(255))
    assert [file.md5 for file in dataset.source] == [file.published_md5 for file in dataset.source]
    load_dataset("mnist", root=tmp_path)
    assert len(server.asked) == 4


def test_of_several_files_only_the_missing_one_is_fetched(server, tmp_path, monkeypatch):
    arrays = [np.zeros((20, 2, 2), np.uint8), np.arange(20, dtype=np.uint8) % 10] * 2
    bodies = [gzip.compress(idx_bytes(array)) for array in arrays]
    tiny = idx.IdxSet("F/raw", server.address, tuple(map(md5, bodies)), tuple("0123456789"), (20, 20))
    monkeypatch.setitem(idx.IDX_SETS, "fashion_mnist", tiny)
    (tmp_path / "F" / "raw").mkdir(parents=True)
    for name, array in list(zip(idx.FILENAMES, arrays, strict=True))[:3]:
        (tmp_path / "F" / "raw" / name).write_bytes(idx_bytes(array))  # unpacked, as torchvision leaves them
    server.files[f"/{idx.FILENAMES[3]}.gz"] = bodies[3]
    load_dataset("fashion_mnist", root=tmp_path)
    assert server.asked == [f"/{idx.FILENAMES[3]}.gz"]


def test_a_medmnist_set_is_downloaded_by_its_flag(server, tmp_path, monkeypatch):
    info = dict(medmnist.catalogue()["organamnist"], n_samples={"train": 22, "val": 11, "test": 11})
    arrays = {}
    for part, size in info["n_samples"].items():
        arrays[f"{part}_images"] = np.full((size, 28, 28), 51, np.uint8)
        arrays[f"{part}_labels"] = np.arange(size, dtype=np.uint8)[:, None] % 11
    np.savez(tmp_path / "made.npz", **arrays)
    body = (tmp_path / "made.npz").read_bytes()
    server.files["/organamnist.npz"] = body
    monkeypatch.setitem(medmnist.catalogue(), "organamnist", dict(info, MD5=md5(body)))
    dataset = load_dataset("organamnist", root=tmp_path / "root", mirror=server.address)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [22, 11, 11]
    assert dataset.train.images.unique().tolist() == [pytest.approx(0.2)]
    assert dataset.classes[0] == "bladder" and dataset.num_classes == 11
    assert everything_under(tmp_path / "root") == ["organamnist.npz"]


def test_the_default_place_is_the_environments(tmp_path, monkeypatch):
    monkeypatch.setenv("QSHIELD_DATA", str(tmp_path))
    with pytest.raises(InputError, match=f"put cifar-10-python.tar.gz in {tmp_path}"):
        load_dataset("cifar10", mirror="http://127.0.0.1:1")
    monkeypatch.delenv("QSHIELD_DATA")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(InputError, match=f"put .* in {tmp_path}/home/.cache/qshield"):
        load_dataset("cifar10", mirror="http://127.0.0.1:1")


def test_downloaded_files_have_the_usual_permissions(server, tmp_path):
    server.files["/a.gz"] = BODY
    fetch("set", [RemoteFile(f"{server.address}/a.gz", md5(BODY))], tmp_path)
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.gz").stat().st_mode == (tmp_path / "plain").stat().st_mode  # others may read it
