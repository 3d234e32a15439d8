"""Tables of latent vectors: their bytes, their order, and back."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from medjax.errors import UsageError, UserError
from medjax.systems.crossmodal.latents import (
    file_name,
    latents_of,
    read_latents,
    write_latents,
    write_tsv,
)

IDS = np.array(["30", "10", "20"])
VECTORS = np.array([[0.1, -2.5e-8], [1e16, np.nan], [3, 1e-4]], np.float32)


def test_bytes_of_both_styles(tmp_path: Path) -> None:
    write_tsv(tmp_path / "a.tsv", IDS, VECTORS)
    assert (tmp_path / "a.tsv").read_bytes() == (
        b"sample_id\tlatent_0\tlatent_1\r\n"
        b"10\t1e+16\tnan\r\n20\t3.0\t1e-04\r\n30\t0.1\t-2.5e-08\r\n"
    )
    write_tsv(tmp_path / "b.tsv", IDS, VECTORS[:, :1], "genetics")
    assert (tmp_path / "b.tsv").read_bytes() == (
        b"FID\tIID\tlatent_0\r\n10\t10\t1e+16\r\n20\t20\t3.0\r\n30\t30\t0.1\r\n"
    )
    with pytest.raises(UsageError, match="not 'plink'"):
        write_tsv(tmp_path / "c.tsv", IDS, VECTORS, "plink")
    assert not (tmp_path / "c.tsv").exists()


def test_numbers_read_back_as_they_were(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    vectors = (generator.normal(size=(2100, 3)) * 10.0 ** generator.integers(-9, 9)).astype("f")
    ids = np.array([str(i) for i in generator.permutation(2100)])
    outputs = {"latent/ecg": vectors, "has_ecg": generator.random(2100) < 0.9}
    latents = latents_of(ids, outputs)
    for style in ("standard", "genetics"):
        assert write_latents(tmp_path, latents, "run", style) == {"ecg": outputs["has_ecg"].sum()}
        for ending in (".tsv", ".parquet"):
            found, read = read_latents(tmp_path / file_name("ecg", "run", ending))
            assert list(found) == sorted(ids[outputs["has_ecg"]])
            rows = dict(zip(ids, vectors))
            np.testing.assert_array_equal(read, [rows[i] for i in found])


def test_rows_stand_in_the_order_of_the_files_names(tmp_path: Path) -> None:
    """ "1-2.hd5" comes before "1.hd5", as a minus sign before a dot."""
    ids = np.array(["1", "11", "1-2"])
    latents = latents_of(ids, {"latent/mri": VECTORS})
    write_latents(tmp_path, latents, "run")
    for ending in (".tsv", ".parquet"):
        found, _ = read_latents(tmp_path / file_name("mri", "run", ending))
        assert list(found) == ["1-2", "1", "11"]
    columns = pq.read_table(tmp_path / file_name("mri", "run", ".parquet")).column_names
    assert columns == ["sample_id", "latent_0", "latent_1"]


def test_a_table_of_nobody_has_its_header_and_reads_back(tmp_path: Path) -> None:
    latents = latents_of(IDS, {"latent/mri": VECTORS, "has_mri": np.zeros(3, bool)})
    assert write_latents(tmp_path, latents, "run") == {"mri": 0}
    for ending in (".tsv", ".parquet"):
        ids, vectors = read_latents(tmp_path / file_name("mri", "run", ending))
        assert ids.shape == (0,) and vectors.shape == (0, 2)


@pytest.mark.parametrize(
    "content",
    ["", "sample_id\tage\r\n1\t2\r\n", "sample_id\tlatent_0\r\n1\r\n", "latent_0\r\n1\r\n"],
)
def test_other_tables_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(content, newline="")
    with pytest.raises(UserError, match="no table of latent vectors"):
        read_latents(path)
