"""Links between places of the repository lead to the same places of the site."""

import pytest
from markdown import markdown
from mkdocs.config import load_config
from mkdocs.structure.files import get_files
from mkdocs.structure.pages import Page

from devkit import site
from devkit.site import ROOT
from k8s_hub import __version__

CHART, VALUES = "howto/chart.md", "helm-values/README.md"


@pytest.fixture
def build(monkeypatch):
    """A function that rewrites the text of a page, in a site of a repository at this address."""
    monkeypatch.delenv("REPOSITORY", raising=False)

    def rewrite(place, text, repository=""):
        config = load_config(str(ROOT / "mkdocs.yml"), repo_url=repository)
        files = config.plugins.on_files(get_files(config), config=config)
        page = Page(None, files.get_file_from_path(place), config)
        return config.plugins.on_page_markdown(text, page=page, config=config, files=files)

    return rewrite


@pytest.mark.parametrize(
    ("place", "text", "expected"),
    [
        (CHART, "[a](culling.md#scopes)", "[a](culling.md#scopes)"),
        (CHART, "[a](../../helm-values/README.md)", "[a](../helm-values/README.md)"),
        (CHART, "[a](../../README.md)", "[a](../index.md)"),
        (VALUES, "[a](../docs/howto/chart.md#update)", "[a](../howto/chart.md#update)"),
        (VALUES, "[a](spawner.yaml)", "[a](spawner.yaml)"),
        ("CONTRIBUTING.md", "[a](docs/architecture.md)", "[a](architecture.md)"),
        (CHART, "[a](https://example.org/b)", "[a](https://example.org/b)"),
        (CHART, "![a](../images/progress.png)", "![a](../images/progress.png)"),
    ],
)
def test_a_link_leads_to_the_same_file(build, place, text, expected):
    assert build(place, text) == expected


def test_a_link_that_leads_nowhere_stays_so_that_mkdocs_reports_it(build):
    assert build(CHART, "[a](nowhere.md)") == "[a](nowhere.md)"


def test_a_file_that_the_site_lacks_is_in_the_repository_or_text(build):
    link = "[a](../jupyterhub_config.py)"
    assert build("start.md", link) == "a"
    address = "https://example.org/k8s_hub"
    assert build("start.md", link, address) == f"[a]({address}/blob/main/jupyterhub_config.py)"


def test_each_page_ends_with_the_version():
    config = site.on_config(load_config(str(ROOT / "mkdocs.yml")))
    assert config.copyright.startswith(f"k8s_hub {__version__}, ")


def test_steps_below_a_list_are_numbered():
    config = load_config(str(ROOT / "mkdocs.yml"))
    extensions = {"extensions": config.markdown_extensions, "extension_configs": config.mdx_configs}
    assert "<ol>" in markdown("- what to know\n\n1. the first step", **extensions)
