"""CardiologyXML of UK Biobank: strips, median beats, and files that are not to be trusted."""

import numpy as np
import pytest

from medjax.data.ecg.cardiology_xml import read_cardiology
from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.leads import LEADS
from medjax.data.ecg.records import open_ecg
from medjax.data.manifest import read_manifest
from medjax.errors import UsageError, UserError
from tests.data.ecg.commands import prepare

ORDER = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")


def block(name, counts, resolution=5, rate=500, declared=None):
    waves = "".join(
        f'<WaveformData lead="{lead}">\n\t\t{",".join(map(str, row))}</WaveformData>'
        for lead, row in zip(ORDER, counts.tolist())
    )
    return (
        f"<{name}><NumberOfLeads>12</NumberOfLeads><SampleRate units='Hz'>{rate}</SampleRate>"
        f"<ChannelSampleCountTotal>{declared or counts.shape[1]}</ChannelSampleCountTotal>"
        f"<Resolution units='uVperLsb'>{resolution}</Resolution>{waves}</{name}>"
    )


def document(*parts, age="61", sex="FEMALE"):
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
        '<!DOCTYPE CardiologyXML SYSTEM "cardiology.dtd">\n<CardiologyXML>'
        f"<PatientInfo><Age units='Years'>{age}</Age><Gender>{sex}</Gender></PatientInfo>"
        "<Interpretation><Diagnosis><DiagnosisText>Sinus rhythm</DiagnosisText>"
        "<DiagnosisText> Caf\xe9 </DiagnosisText></Diagnosis></Interpretation>"
        f"{''.join(parts)}</CardiologyXML>"
    )


def counts(seed, samples):
    return np.random.default_rng(seed).integers(-400, 400, (12, samples))


def median(seed, **more):
    inner = block("MedianSamples", counts(seed, 600), **more)
    return f"<RestingECGMeasurements><SampleRate>7</SampleRate>{inner}</RestingECGMeasurements>"


def save(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text.encode("latin-1"))


def test_both_parts_of_an_examination(tmp_path):
    raw = tmp_path / "raw"
    strip = block("StripData", counts(9, 5000), resolution=4.88)
    save(raw, "1000001_20205_2_0.xml", document(median(1), strip))
    save(raw, "1000002_20205_2_0.xml", document(median(2), age="", sex=""))
    options = ("--signal=both", "--unlabelled", "--sampling_rate=500")
    out = prepare("ukb_ecg", raw, tmp_path / "out", *options)
    beats, strips = (open_ecg(out, name) for name in ("median", "rhythm"))
    records = beats.splits["all"]
    assert (beats.samples, beats.sampling_rate, strips.samples) == (600, 500.0, 5000)
    assert records.subject_id.tolist() == ["1000001", "1000002"]
    assert records.age[0] == 61 and np.isnan(records.age[1])
    assert records.sex.tolist() == ["female", ""]
    assert records.report[0] == "Sinus rhythm\nCafé"
    np.testing.assert_allclose(records.signals([1])[0], counts(2, 600) * 0.005, rtol=1e-6)
    values, scale = strips.splits["all"].raw([0])
    assert np.array_equal(values[0], counts(9, 5000)) and np.allclose(scale, 0.00488)
    assert len(strips.splits["all"].record_id) == 1, "the other file has no strip"
    reasons = [rule["reason"] for rule in read_manifest(out)["counts"]]
    assert reasons[-1] == "no StripData in the file"


def test_visits_of_a_participant_stay_together(tmp_path):
    raw = tmp_path / "raw"
    for i in range(30):
        for visit in (2, 3):
            save(raw, f"{1000001 + i}_20205_{visit}_0.xml", document(median(i)))
    splits = open_ecg(prepare("ukb_ecg", raw, tmp_path / "out"), "median").splits
    subjects = [set(records.subject_id.tolist()) for records in splits.values()]
    assert sum(map(len, subjects)) == 30 == len(set.union(*subjects))
    assert all(
        len(records.record_id) == 2 * len(s) for records, s in zip(splits.values(), subjects)
    )


def test_leads_in_another_order_and_rate(tmp_path):
    raw, values = tmp_path / "raw", counts(3, 300)
    text = document(block("MedianSamples", values, rate=250)).replace('lead="V1"', 'lead="swap"')
    text = text.replace('lead="V6"', 'lead="V1"').replace('lead="swap"', 'lead="V6"')
    save(raw, "1_1.xml", text)
    out = prepare("ukb_ecg", raw, tmp_path / "out", "--sampling_rate=250", "--unlabelled")
    read = open_ecg(out, "median").splits["all"].signals([0])[0]
    expected = values[[*range(6), 11, 7, 8, 9, 10, 6]] * 0.005
    np.testing.assert_allclose(read, expected, rtol=1e-6)
    assert open_ecg(out, "median").leads == LEADS


BOMB = (
    '<!DOCTYPE CardiologyXML [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {n} "{f"&{p};" * 10}">' for p, n in zip("abcdefgh", "bcdefghi"))
    + "]><CardiologyXML><Age>&i;</Age></CardiologyXML>"
)
FOREIGN = (
    '<!DOCTYPE CardiologyXML [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<CardiologyXML><DiagnosisText>&x;</DiagnosisText></CardiologyXML>"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "declares XML entities"),
        (FOREIGN, "declares XML entities"),
        ("", "damaged XML"),
        (document(median(1)).replace("ISO-8859-1", "ISO-9-1"), "unknown encoding"),
        (document(median(1))[:-500], "damaged XML"),
        ("<html></html>", "no CardiologyXML"),
        ("<CardiologyXML>" + "<a>" * 100, "nested more than"),
        (document(median(1, declared=599)), "other samples than it declares"),
        (document(median(1, declared=2_000_000_000)), "ChannelSampleCountTotal"),
        (document(median(1, resolution=0)), "Resolution is not a number above 0"),
        (document(median(1, rate="abc")), "SampleRate is not a number above 0"),
        (document(median(1)).replace("uVperLsb", "miles"), "not in uVperLsb"),
        (document(median(1)).replace(",", ",1.5,", 1), "no whole numbers"),
        (document(median(1)).replace(",", ",99999999999,", 1), "no whole numbers"),
        (document(median(1)).replace(",", ",,", 1), "no whole numbers"),
        (document(median(1)).replace(",", ",7,", 1), "unequal length"),
        (document(median(1)).replace('lead="V2"', 'lead="V1"'), "lead V1 twice"),
        (document("<MedianSamples><SampleRate>500</SampleRate></MedianSamples>"), "no leads"),
        (document("<MedianSamples>" + "<WaveformData>1</WaveformData>" * 40), "more than 32"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    save(tmp_path / "raw", "1_x.xml", text)
    with pytest.raises(UserError, match=message) as error:
        prepare("ukb_ecg", tmp_path / "raw", tmp_path / "out")
    assert "1_x.xml" in str(error.value)


def test_a_huge_file_is_not_read(tmp_path, monkeypatch):
    save(tmp_path, "1.xml", document(median(1)))
    monkeypatch.setattr("medjax.data.ecg.cardiology_xml.MOST_BYTES", 1000)
    with pytest.raises(RecordFault, match="too large"):
        read_cardiology(tmp_path / "1.xml")


def test_strips_have_100_hz_unless_asked_otherwise(tmp_path):
    save(tmp_path / "raw", "1.xml", document(block("StripData", counts(9, 5000))))
    out = prepare("ukb_ecg", tmp_path / "raw", tmp_path / "out", "--signal=rhythm", "--unlabelled")
    strips = open_ecg(out, "rhythm")
    assert (strips.sampling_rate, strips.samples) == (100.0, 1000)


def test_one_length_for_two_sets_is_refused(tmp_path):
    save(tmp_path / "raw", "1.xml", document(median(1)))
    with pytest.raises(UsageError, match="--seconds is for one set"):
        prepare("ukb_ecg", tmp_path / "raw", tmp_path / "out", "--signal=both", "--seconds=1")
