"""HD5 files of ml4h: leads by name, instances, and files that lead elsewhere."""

import h5py
import numpy as np
import pytest

from medjax.data.ecg.leads import LEADS
from medjax.data.ecg.ml4h_file import read_resting
from medjax.data.ecg.records import open_ecg
from medjax.data.manifest import read_manifest
from medjax.errors import UserError
from tests.data.ecg.commands import prepare


def counts(seed, samples=600):
    return np.random.default_rng(seed).integers(-900, 900, (12, samples)).astype(np.int16)


def write(path, seed, *, kinds=("median",), text="Normal ECG", instance="instance_0", leads=LEADS):
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "a") as file:
        group = file.require_group("ukb_ecg_rest")
        for kind in kinds:
            values = counts(seed, 600 if kind == "median" else 5000)
            for lead, row in zip(LEADS, values):
                if lead in leads:
                    name = f"{kind}_{lead}/{instance}"
                    group.create_dataset(name, data=row.astype(np.float32), compression="gzip")
        if text:
            group.create_dataset(f"ecg_rest_text/{instance}", data=text)
    return path


def test_medians_and_strips(tmp_path):
    raw = tmp_path / "raw"
    write(raw / "1000001.hd5", 1, kinds=("median", "strip"))
    write(raw / "1000002.hd5", 2, text="Atrial flutter. Poor data quality, interpret with care")
    write(raw / "1000003.hd5", 3, text="")
    options = ("--signal=both", "--microvolt=5", "--unlabelled", "--sampling_rate=500")
    out = prepare("ml4h_hd5", raw, tmp_path / "out", *options)
    records = open_ecg(out, "median").splits["all"]
    assert records.subject_id.tolist() == ["1000001", "1000002", "1000003"]
    assert records.report[0] == "Normal ECG" and records.report[2] == ""
    np.testing.assert_allclose(records.signals([2])[0], counts(3) * 0.005, atol=1e-3)
    strips = open_ecg(out, "rhythm").splits["all"]
    np.testing.assert_allclose(strips.signals([0])[0], counts(1, 5000) * 0.005, atol=1e-3)
    out = prepare("ml4h_hd5", raw, tmp_path / "good", "--drop_poor", "--unlabelled")
    assert len(open_ecg(out, "median").splits["all"].record_id) == 2
    assert "poor data quality" in read_manifest(out)["counts"][0]["reason"]


def test_instances(tmp_path):
    path = write(tmp_path / "1.hd5", 1, instance="instance_2", text="later")
    write(path, 2, instance="instance_0", text="first")
    first, later = read_resting(path, "median"), read_resting(path, "median", 2)
    assert np.array_equal(first.samples, counts(2)) and first.text == "first"
    assert np.array_equal(later.samples, counts(1)) and later.text == "later"
    assert read_resting(path, "median", 5).leads == ()


def test_a_missing_lead_is_counted(tmp_path):
    write(tmp_path / "raw" / "1.hd5", 1, leads=[lead for lead in LEADS if lead != "V4"])
    out = prepare("ml4h_hd5", tmp_path / "raw", tmp_path / "out", "--unlabelled")
    records = open_ecg(out, "median").splits["all"]
    assert np.flatnonzero(~records.recorded[0]).tolist() == [LEADS.index("V4")]
    assert (records.signals([0])[0, LEADS.index("V4")] == 0).all()


def _replace(path, name, make):
    with h5py.File(path, "a") as file:
        group = file["ukb_ecg_rest"]
        del group[name]
        make(group, name)


def _outside(group, name):
    group[name] = h5py.ExternalLink("secret.hd5", "/ukb_ecg_rest/median_I")


def _soft(group, name):
    group[name] = h5py.SoftLink(f"/ukb_ecg_rest/{name}")


def _stored_outside(group, name):
    group.create_dataset(name, (600,), "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def _virtual(group, name):
    layout = h5py.VirtualLayout(shape=(600,), dtype="f4")
    layout[:] = h5py.VirtualSource("secret.hd5", "data", shape=(600,))
    group.create_virtual_dataset(name, layout)


def _huge(group, name):
    group.create_dataset(name, (10**12,), "f4", chunks=(1024,))


def _loop(group, name):
    inner = group.create_group(name)
    inner["again"] = inner


def _texts(group, name):
    group.create_dataset(name, data=np.array([b"a", b"b"]))


def _short(group, name):
    group.create_dataset(name, data=np.zeros(500))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_outside, "a link to elsewhere"),
        (_soft, "a link to elsewhere"),
        (_stored_outside, "lies in another file"),
        (_virtual, "lies in another file"),
        (_huge, "not a row of numbers"),
        (_loop, "groups in groups"),
        (_texts, "not a row of numbers"),
        (_short, "leads of unequal length"),
    ],
)
def test_files_that_lead_elsewhere_are_refused(tmp_path, make, message):
    path = write(tmp_path / "raw" / "7.hd5", 1)
    _replace(path, "median_V2", make)
    with pytest.raises(UserError, match=message) as error:
        prepare("ml4h_hd5", tmp_path / "raw", tmp_path / "out")
    assert "7.hd5" in str(error.value)


def test_damaged_files_are_named(tmp_path):
    path = write(tmp_path / "raw" / "7.hd5", 1)
    whole = path.read_bytes()
    for content in (b"", b"no hdf5", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"7\.hd5"):
            prepare("ml4h_hd5", tmp_path / "raw", tmp_path / "out")


def test_a_file_of_other_data_is_no_damage(tmp_path):
    write(tmp_path / "raw" / "1.hd5", 1)
    with h5py.File(tmp_path / "raw" / "2.hd5", "w") as file:
        file["ukb_cardiac_mri/x"] = np.zeros(3)
    out = prepare("ml4h_hd5", tmp_path / "raw", tmp_path / "out", "--unlabelled")
    assert [rule["reason"] for rule in read_manifest(out)["counts"]] == [
        "no median leads in the file"
    ]
