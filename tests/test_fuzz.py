"""Damaged files: a sample of `make fuzz`, and what chance does not find."""

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
from fuzz import all_readers, fuzz, outcome

from minirl import files
from toy_lm import models


def test_a_damaged_file_is_read_or_refused_by_its_name_and_nothing_else_happens():
    outcomes = fuzz(1500, seed=0)
    assert outcomes.total() == 1500 and len({name for name, _ in outcomes}) == 24
    for name in ("corpus", "map", "preferences", "model", "progress", "prompts", "exercise",
                 "sealed checkpoint"):
        assert outcomes[name, "read"] > 5 and outcomes[name, "refused"] > 5, name


@pytest.mark.parametrize("path", ["empty", "folder", "missing", "loop", os.devnull])
def test_what_is_no_file_or_holds_nothing_is_refused_or_is_empty(tmp_path, monkeypatch, path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, reader in all_readers(str(tmp_path / "work")).items():
        refusal = rf"{reader.refusal}|(.*: )?cannot read PATH: \w[\w ]+"
        outcome(reader._replace(refusal=refusal), path)


def test_what_has_no_end_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 3 * files.PIECE)
    with pytest.raises(ValueError, match=r"^cannot read /dev/zero: it has more than 3,145,728 b"):
        files.read_bytes("/dev/zero")
    with open("/dev/zero", "rb") as endless:
        monkeypatch.setattr("sys.stdin", endless)
        with pytest.raises(ValueError, match=r"^cannot read standard input: it has more than 3,1"):
            files.read_bytes("-")


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_would_fill_the_memory_is_not_unfolded(monkeypatch, packing):
    """Which are 16 MB of zeros here, where 256 kB are allowed; or a promise"""
    monkeypatch.setattr(models, "MOST_NUMBERS", 2**14)
    zeros, promise, bombs = bytes(2**24), io.BytesIO(), []
    np.lib.format.write_array_header_1_0(
        promise, {"descr": "<f8", "fortran_order": False, "shape": (2**32, 3)})
    for content in zeros, promise.getvalue():
        bombs.append(io.BytesIO())
        with zipfile.ZipFile(bombs[-1], "w", packing) as archive:
            archive.writestr("logits.npy", content)
    tracemalloc.start()
    try:
        for bomb in bombs:
            with pytest.raises(ValueError, match=r"^it cannot be .*(in all|deflated|promises)"):
                models._parse(bomb.getvalue())
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_a_table_that_is_too_large_to_be_read_again_is_not_written(monkeypatch, tmp_path):
    model = models.fit(["on", "no"])
    monkeypatch.setattr(models, "MOST_NUMBERS", 8)
    with pytest.raises(ValueError, match=r"^logits must be at most 8 numbers, got 9$"):
        models.save(tmp_path / "model.npz", model)
    assert not list(tmp_path.iterdir())
