"""Those who listen are guarded: an error of one costs nobody else anything, and is logged once."""

from k8s_hub.culler.event_bus import guarded


def test_a_listener_that_raises_hears_the_next_record_too():
    heard = []

    def listener(number, *, by):
        heard.append((number, by))
        if number < 3:
            raise ValueError("Exceeds the limit for integer string conversion")

    told = guarded("decision_log", listener)
    for number in range(5):
        told(number, by="a sweep")
    assert heard == [(number, "a sweep") for number in range(5)]


def test_each_kind_of_error_is_logged_once_with_its_traceback_and_the_listener_s_name(caplog):
    def listener(error):
        raise error

    page, metrics = guarded("page", listener), guarded("metrics", listener)
    for error in (ValueError("first"), ValueError("second"), KeyError("other"), ValueError("third")):
        page(error)
    metrics(ValueError("of metrics"))
    assert [record.getMessage() for record in caplog.records] == [
        "page: skipped a record: ValueError('first') (the culler logs no further errors of this kind)",
        "page: skipped a record: KeyError('other') (the culler logs no further errors of this kind)",
        "metrics: skipped a record: ValueError('of metrics') (the culler logs no further errors of this kind)",
    ]
    assert caplog.text.count("Traceback") == 3
