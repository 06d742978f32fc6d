"""The report: its figures, its page, and that a strange file name stays text."""

from __future__ import annotations

import base64
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile

from rwc_daemon.batch.convert import START, Converted
from rwc_daemon.batch.jobs import BatchOptions, FileJob, FileResult, FileWork
from rwc_daemon.batch.measure import measure
from rwc_daemon.batch.sound_file import Sound, write_sound
from rwc_daemon.errors import BadAudio
from rwc_daemon.faces.report import ReportEntry, ReportRun, as_data, as_page, write_report
from tests.batch.test_convert_file import vowel

RATE = 16000
NAME = "a<b>&'\".wav"


@pytest.fixture
def entries(tmp_path) -> list[ReportEntry]:
    """One file shifted by five semitones (made, not converted), one silent, one that failed."""
    found = []
    for name, out_gain in ((NAME, 1.0), ("silent.wav", 0.0)):
        job = FileJob(tmp_path / "in" / name, tmp_path / "out" / name)
        before, after = vowel(RATE, 2.0, 150), vowel(RATE, 2.0, 150 * 2 ** (5 / 12)) * np.float32(out_gain)
        write_sound(job.source, Sound(before, RATE, 1))
        write_sound(job.target, Sound(after, RATE, 1))
        converted = Converted(job.source, job.target, 2.0, 0.5, RATE, 2 * RATE, 0)
        found.append(ReportEntry(job, FileResult(converted, measure(before, RATE, after, RATE, 5.0))))
    return [*found, ReportEntry(FileJob(Path("bad.wav"), Path("x.wav")), None, "cannot read <bad.wav>")]


RUN = ReportRun("deep", START, 0, 1.0)


class Page(HTMLParser):
    """Tags counted, text kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_data(entries):
    data = json.loads(json.dumps(as_data(RUN, entries)))
    assert data["summary"]["converted"] == 2
    assert data["summary"]["failed"] == 1
    assert data["summary"]["speed"] == 4.0
    shifted, silent, bad = data["files"]
    assert shifted["pitch"]["error_cents"] < 10
    assert shifted["pitch"]["correlation"] > 0.98
    assert shifted["real_time_factor"] == 0.25
    assert silent["loudness_out_lufs"] is None
    assert silent["pitch"]["error_cents"] is None
    assert bad == {"source": "bad.wav", "target": "x.wav", "ok": False, "error": "cannot read <bad.wav>"}


def test_page_holds_everything_itself(entries):
    page = Page(as_page(RUN, entries, entries[0].job.target.parent))
    assert page.tags.count("tr") == 6, "a line a file, one above each of two folders, the head"
    assert page.tags.count("svg") == 2
    assert page.tags.count("img") == 1
    assert [link.partition(";")[0] for link in page.links if link.startswith("data:")] == [
        "data:image/png", "data:audio/flac", "data:audio/flac",
    ]  # fmt: skip
    assert NAME in page.text
    assert "cannot read <bad.wav>" in page.text


def test_players_find_their_files(entries, tmp_path):
    folder = tmp_path / "reports"
    links = [link for link in Page(as_page(RUN, entries, folder)).links if not link.startswith("data:")]
    found = [(folder / unquote(link)).resolve() for link in links]
    assert found == [path.resolve() for entry in entries[:2] for path in (entry.job.source, entry.job.target)]


def test_the_sound_of_the_picture_can_be_heard(entries):
    page = Page(as_page(RUN, entries, Path("/")))
    _, heard = (soundfile.read(io.BytesIO(base64.b64decode(u.partition(",")[2]))) for u in page.links if "flac" in u)
    assert heard[1] == RATE
    assert np.allclose(heard[0], soundfile.read(entries[0].job.target)[0], atol=1e-4)


def test_written_where_asked(entries, tmp_path):
    for asked in ("r", "r.html", "r.json"):
        page, data = write_report(tmp_path / "reports" / asked, RUN, entries)
        assert (page.name, data.name) == ("r.html", "r.json")
    page, _ = write_report(tmp_path / "out.report", RUN, entries)
    assert page.name == "out.report.html"
    with pytest.raises(BadAudio, match="cannot write the report"):
        write_report(page / "below", RUN, entries)


def test_a_run_without_any_result_has_a_page():
    assert "failed" in as_page(RUN, [ReportEntry(FileJob(Path("a"), Path("b")), None, "no")], Path())
    assert as_data(ReportRun("deep", START, 0, 0.0), [])["summary"]["speed"] is None


@pytest.mark.parametrize(("voice", "follows"), [("deep", True), ("robot", False), ("whisper", False)])
def test_what_pitch_is_wanted(tmp_path, voice, follows):
    job = FileJob(tmp_path / "in.wav", tmp_path / "out.wav")
    write_sound(job.source, Sound(vowel(RATE, 2.0), RATE, 1))
    result = FileWork(BatchOptions(tmp_path, voice, measured=True))(job, lambda _: None)
    figures = result.measured.figures
    assert (figures.pitch.error_cents is not None) == follows
    if follows:  # deep lowers by four semitones
        assert figures.pitch.error_cents < 40
        assert figures.pitch.wanted_hz == pytest.approx(150 * 2 ** (-4 / 12), rel=0.03)
