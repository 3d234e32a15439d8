"""Films in DICOM form, where pydicom is installed."""

import numpy as np
import pytest

from medjax.data.images import read_grey
from medjax.errors import UserError


def write(path, pixels, photometric="MONOCHROME2", **fields):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    film = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, photometric
    film.BitsAllocated = film.BitsStored = pixels.dtype.itemsize * 8
    film.HighBit, film.PixelRepresentation = film.BitsStored - 1, 0
    film.PixelData = pixels.tobytes()
    for name, value in fields.items():
        setattr(film, name, value)
    film.save_as(path, enforce_file_format=True)


PIXELS = np.arange(48, dtype=np.uint8).reshape(6, 8)


def test_eight_bits_are_taken_as_they_are(tmp_path):
    write(tmp_path / "a.dcm", PIXELS)
    assert np.array_equal(read_grey(tmp_path / "a.dcm"), PIXELS)


def test_the_other_convention_is_turned_and_deeper_values_scaled(tmp_path):
    write(tmp_path / "a.dcm", PIXELS, "MONOCHROME1")
    assert np.array_equal(read_grey(tmp_path / "a.dcm"), 255 - PIXELS)
    write(tmp_path / "b.dcm", PIXELS.astype(np.uint16) * 40 + 100)
    scaled = read_grey(tmp_path / "b.dcm")
    assert (scaled.min(), scaled.max()) == (0, 255)


def test_what_is_no_film_is_named(tmp_path):
    write(tmp_path / "a.dcm", PIXELS, NumberOfFrames=2)
    with pytest.raises(UserError, match=r"a.dcm: not a single grey image"):
        read_grey(tmp_path / "a.dcm")
    with pytest.raises(UserError, match="over the limit"):
        write(tmp_path / "b.dcm", PIXELS)
        read_grey(tmp_path / "b.dcm", max_pixels=10)
    (tmp_path / "c.dcm").write_bytes(b"\0" * 128 + b"DICMgarbage")
    with pytest.raises(UserError, match=r"c.dcm: damaged"):
        read_grey(tmp_path / "c.dcm")
