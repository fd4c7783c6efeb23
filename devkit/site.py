"""mkdocs hooks of ``make docs``: add files from outside docs/, and adapt links.

Links in pages are valid in the repository. This module changes them to links of the site. A link to a file that is not on
the site leads to `repo_url` of mkdocs.yml; without one, it becomes plain text.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from k8s_hub import __version__

ROOT = Path(__file__).parents[1]
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "helm-values/**/*.*")
LINK = re.compile(r"(?<!!)\[([^]]+)\]\(([^):#\s]+)(#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the version at the end of each page."""
    config.copyright = f"k8s_hub {__version__}, {config.copyright}"
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files beside docs/."""
    for pattern in BESIDE:
        for path in sorted(ROOT.glob(pattern)):
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Change links of the repository into links of the site."""
    here = page.file.src_uri
    folder = posixpath.dirname(here if _is_beside(page.file) else f"docs/{here}")

    def on_the_site(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        place = posixpath.normpath(posixpath.join(folder, target))
        if not (ROOT / place).exists():
            return link[0]  # mkdocs reports it
        if place == "README.md":
            place = "docs/index.md"
        there = place.removeprefix("docs/")
        if files.get_file_from_path(there) is not None:
            return f"[{text}]({posixpath.relpath(there, posixpath.dirname(here) or '.')}{anchor})"
        return f"[{text}]({config.repo_url}/blob/main/{place}{anchor})" if config.repo_url else text

    return LINK.sub(on_the_site, markdown)


def _is_beside(file: File) -> bool:
    return file.generated_by is not None


def on_page_context(context: dict[str, Any], *, page: Page, **_: Any) -> dict[str, Any]:
    """Remove the edit link of a page whose source is outside docs/."""
    if _is_beside(page.file):
        page.edit_url = None
    return context
