"""HfFileSystem: paths, ranges, writing."""

from __future__ import annotations

from huggingface_hub import HfFileSystem

from tests.hub_server.contract.world import World, raises

_LARGE = bytes(range(256)) * 20000  # 5 MB


def _fresh(w: World) -> HfFileSystem:
    w.memo.fs.invalidate_cache()
    return w.memo.fs


def a_file_is_written(w: World) -> None:
    w.memo.repo = w.create("fs", "dataset")
    w.memo.root = f"datasets/{w.memo.repo}"
    w.memo.fs = HfFileSystem()
    with w.memo.fs.open(f"{w.memo.root}/data/large.bin", "wb") as file:
        file.write(_LARGE)
    assert _fresh(w).exists(f"{w.memo.root}/data/large.bin")


def text_is_written_and_read(w: World) -> None:
    w.memo.fs.write_text(f"{w.memo.root}/data/note.txt", "miel")
    assert _fresh(w).read_text(f"{w.memo.root}/data/note.txt") == "miel"


def a_folder_is_listed(w: World) -> None:
    found = _fresh(w).ls(f"{w.memo.root}/data", detail=False)
    assert found == [f"{w.memo.root}/data/large.bin", f"{w.memo.root}/data/note.txt"]


def details_are_told(w: World) -> None:
    info = _fresh(w).info(f"{w.memo.root}/data/large.bin")
    assert (info["type"], info["size"]) == ("file", len(_LARGE))
    assert _fresh(w).isdir(f"{w.memo.root}/data")


def patterns_are_found(w: World) -> None:
    assert _fresh(w).glob(f"{w.memo.root}/**/*.bin") == [f"{w.memo.root}/data/large.bin"]
    assert len(_fresh(w).find(w.memo.root)) == 3


def ranges_are_read(w: World) -> None:
    with _fresh(w).open(f"{w.memo.root}/data/large.bin", "rb", block_size=65536) as file:
        file.seek(1_000_003)
        assert file.read(10) == _LARGE[1_000_003:1_000_013]
        file.seek(-5, 2)
        assert file.read() == _LARGE[-5:]
    assert w.memo.fs.cat_file(f"{w.memo.root}/data/large.bin", start=7, end=4096) == _LARGE[7:4096]


def a_file_is_streamed(w: World) -> None:
    with _fresh(w).open(f"{w.memo.root}/data/large.bin", "rb", block_size=0) as file:
        assert file.read() == _LARGE


def a_missing_file_is_not_found(w: World) -> None:
    assert not _fresh(w).exists(f"{w.memo.root}/nowhere")
    with raises(FileNotFoundError):
        w.memo.fs.info(f"{w.memo.root}/nowhere")
    with raises(FileNotFoundError):
        w.memo.fs.ls(f"datasets/{w.id('nowhere')}")


def a_revision_is_part_of_the_path(w: World) -> None:
    w.api.create_branch(w.memo.repo, branch="iter/1", repo_type="dataset")
    path = f"{w.memo.root}@iter%2F1/data/note.txt"
    assert _fresh(w).read_text(path) == "miel"
    w.memo.fs.write_text(path, "cera")
    assert _fresh(w).read_text(path) == "cera"
    assert _fresh(w).read_text(f"{w.memo.root}/data/note.txt") == "miel"


def a_file_is_copied_and_removed(w: World) -> None:
    w.memo.fs.cp_file(f"{w.memo.root}/data/large.bin", f"{w.memo.root}/copy.bin")
    assert _fresh(w).info(f"{w.memo.root}/copy.bin")["size"] == len(_LARGE)
    w.memo.fs.rm(f"{w.memo.root}/copy.bin")
    assert not _fresh(w).exists(f"{w.memo.root}/copy.bin")
