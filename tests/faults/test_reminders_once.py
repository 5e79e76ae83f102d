"""Reminders whose beats and workers are killed: each person has each occurrence exactly once."""

from tests.support.reminders_run import Size, run

SECONDS = 4.0
SIZE = Size(reminders=50, large=2, beats=2, workers=2, pause_seconds=0.3)


def test_each_person_has_each_occurrence_once_whoever_is_killed(databases, record_property):
    report = run(databases["postgresql"], "postgresql", "espressivo", SECONDS, SIZE)
    record_property("history", str(report))
    assert report.good, str(report)
    assert report.faults.total() >= 3
