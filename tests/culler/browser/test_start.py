"""The form, the page of a start and that of a failed start in a browser."""

import pytest

from tests.culler.browser.stage import DESKTOP, Culling, look

pytestmark = pytest.mark.browser

SMALL = {"mem_limit": "1G", "mem_guarantee": "64M"}
PROFILES = [
    {
        "display_name": "Small",
        "description": "For lectures: 1 CPU, 1 GiB of memory.",
        "default": True,
        "kubespawner_override": SMALL,
    },
    {
        "display_name": "Data science",
        "slug": "ds",
        "description": '16 GiB of memory. <a href="https://example.org">See what is installed</a>.',
        "profile_options": {
            "image": {
                "display_name": "Image",
                "choices": {"python": {"display_name": "Python", "default": True}},
                "unlisted_choice": {
                    "enabled": True,
                    "display_name": "Other image",
                    "display_name_in_choices": "Other image...",
                    "validation_regex": "^pangeo/.+:.+$",
                    "validation_message": "An image of pangeo, such as pangeo/pangeo-notebook:2026.10.01",
                    "kubespawner_override": {"image": "{value}"},
                },
            },
            "memory": {"display_name": "Memory", "choices": {"16G": {"display_name": "16 GiB"}}},
        },
    },
    {
        "display_name": "GPU",
        "description": "Two GPUs; for members of the group <strong>gpu</strong>.",
        "kubespawner_override": {"extra_resource_limits": {"nvidia.com/gpu": "2"}, "start_timeout": 30},
    },
]


async def test_the_pages_of_a_start_are_readable_at_both_widths(stage):
    async with stage(Culling(idle_seconds=3600, profiles=PROFILES)) as on:
        ada = await on.person("ada")
        page = ada.page
        await page.goto(f"{on.plan.url}/hub/spawn/ada")
        await page.check("[value=ds]")
        await page.get_by_label("Image", exact=True).select_option("Other image...")
        await page.get_by_label("Other image").fill("pangeo/pangeo-notebook:2026.10.01")
        await look(page, "profiles", part="#k8s-hub-profiles")

        await page.set_viewport_size(DESKTOP)
        await page.check("[value=gpu]")
        await page.get_by_role("button", name="Start").click()
        waiting = page.get_by_text("Your server is waiting for a machine with 2 GPUs.").first
        await waiting.wait_for()
        await page.locator("summary").click()
        await look(page, "progress", part="#progress-details", keeps_phone=False)

        # Below the bar, and in the log of events.
        again = page.get_by_role("link", name="Try again").first
        await again.wait_for()
        assert "No machine with 2 GPUs became available within 30 s." in await page.inner_text("body")
        await look(page, "failed-spawn", part="#progress-details", keeps_phone=False)
        await again.click()
        await page.get_by_role("heading", name="Server Options").wait_for()
