import pytest

from devkit.demo.session import reason_on

ERROR_PAGE = """<!DOCTYPE HTML>
<html><body>
  <div class="error">
    <h1>400 : Bad Request</h1>
    <p>
      Your server was refused: it&#39;s <b>not</b> allowed.
    </p>
    <p class="more">Ask your administrator.</p>
  </div>
</body></html>"""


@pytest.mark.parametrize(
    "page, reason",
    [
        (ERROR_PAGE, "Your server was refused: it's not allowed. Ask your administrator."),
        ('{"status": 403, "message": "no"}\n', '{"status": 403, "message": "no"}'),
        ("<!DOCTYPE HTML>\n<pre>short of\n words</pre>", "short of words"),
        ("", ""),
    ],
)
def test_a_page_that_refuses_is_told_in_its_own_words(page, reason):
    assert reason_on(page) == reason
