"""Profiles on a spawner: the configuration, the form, and the effects of a choice."""

import asyncio
import logging
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import traitlets
from jupyterhub.auth import Authenticator, DummyAuthenticator
from jupyterhub.traitlets import ByteSpecification
from kubernetes_asyncio import client
from traitlets.config import Config

from devkit.testing.bare import bare_spawner
from k8s_hub import KubeSpawner
from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.run_log import warn_once
from tests.profiles.samples import REQUIRED, profiles, ruled
from tests.profiles.test_form import Page


def chooser(user_options=None, *, profile_list=None, groups=(), spawner_class=KubeSpawner, **traits):
    """Return a spawner whose user has chosen this."""
    profile_list = profiles() if profile_list is None else profile_list
    spawner = bare_spawner(profile_list=profile_list, spawner_class=spawner_class, **traits)
    spawner.user.groups = [SimpleNamespace(name=name) for name in groups]
    spawner.user_options = user_options or {}
    return spawner


async def chosen(user_options=None, **options):
    spawner = chooser(user_options, **options)
    await spawner.load_user_options()
    return spawner


async def refusal(user_options, **options):
    with pytest.raises(SpawnFailed) as error:
        await chosen(user_options, **options)
    diagnosis = error.value.diagnosis
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (Stage.REQUEST, Reason.CHOICE, True)
    return diagnosis


def one(**override):
    return [{"display_name": "One", "kubespawner_override": override}]


class TestConfiguration:
    async def test_what_is_no_list_of_profiles_is_refused_with_the_option(self):
        with pytest.raises(traitlets.TraitError, match="profile_list"):
            bare_spawner(config=Config({"KubeSpawner": {"profile_list": "small"}}))

    @pytest.mark.parametrize(
        ("unsound", "message"),
        [
            ({"slug": "a"}, "KubeSpawner.profile_list[1]: display_name is missing; the profile is left out"),
            (
                "text",
                "KubeSpawner.profile_list[1]: must be a dictionary, not a string; the profile is left out",
            ),
            (
                {"display_name": "A", "access": {"group": ["x"]}},
                "KubeSpawner.profile_list[1].access.group: unknown key; use groups or users",
            ),
        ],
    )
    @pytest.mark.parametrize("source", ["list", "function", "hook", "appended"])
    async def test_an_unsound_profile_is_left_out_and_the_others_work(self, unsound, message, source, caplog):
        warn_once.cache_clear()
        both = [*one(image="good"), unsound]
        given = {"function": lambda spawner: both, "list": both}.get(source, one())
        spawner = chooser({"profile": "one"}, profile_list=given)
        if source == "hook":
            spawner.profile_list = both
        if source == "appended":
            spawner.profile_list[:] = both
        form = Page(await spawner.get_options_form())
        await spawner.load_user_options()

        assert [element["value"] for element in form.all("input", type="radio")] == ["one"]
        assert spawner.image == "good"
        assert caplog.text.count(message) == 1
        assert '"a"' not in (await refusal({"profile": "a"}, profile_list=given)).sentence.partition(";")[2]

    @pytest.mark.parametrize("source", ["list", "function"])
    async def test_an_option_without_choices_is_left_out_and_its_profile_works(self, source, caplog):
        warn_once.cache_clear()
        emptied = [
            {**one(image="good")[0], "profile_options": {"size": {"display_name": "Size", "choices": {}}}}
        ]
        given = emptied if source == "list" else lambda spawner: emptied
        spawner = await chosen({"profile": "one"}, profile_list=given)

        assert spawner.image == "good"
        assert "Size" not in await spawner.get_options_form()
        assert (
            caplog.text.count("KubeSpawner.profile_list[0].profile_options.size: has neither choices nor")
            == 1
        )

    async def test_where_no_profile_can_work_the_form_says_so_and_nothing_is_started_without_one(
        self, caplog
    ):
        warn_once.cache_clear()
        for given in ([{"slug": "a"}], lambda spawner: [{"slug": "a"}]):
            spawner = chooser(profile_list=given)
            sentence = "The profiles of this hub are not configured correctly, so no server can start. Contact your administrator."

            assert sentence in Page(await spawner.get_options_form()).text
            assert (await refusal({}, profile_list=given)).sentence == sentence
        with pytest.raises(Exception, match="not configured correctly") as error:
            await chooser(profile_list=[{"slug": "a"}]).run_options_from_form({})
        assert error.value.status_code == 400
        assert "profile_list[0]: display_name is missing" in caplog.text

    @pytest.mark.parametrize("key", ["allowed_groups", "allowed_users"])
    async def test_rules_of_other_peoples_functions_restrict_nothing_and_are_told_once(self, key, caplog):
        warn_once.cache_clear()
        foreign = [{**one(image="free")[0], key: ["Nobody"]}]
        for _ in range(2):
            assert (await chosen({"profile": "one"}, profile_list=foreign)).image == "free"
            function = await chosen({"profile": "one"}, profile_list=lambda spawner: foreign)
            assert function.image == "free"

        (of_list, of_function) = caplog.messages
        assert of_list.startswith(
            f"KubeSpawner.profile_list[0].{key}: allowed_groups and allowed_users restrict nothing"
            " unless your own function filters by them"
        )
        assert of_function.startswith("KubeSpawner.profile_list's profiles: allowed_groups and")
        assert "access: {groups: [...], users: [...]}" in of_list

    async def test_a_word_as_access_is_one_of_the_function_that_returns_it(self, caplog):
        """Nebari's function filters by access: all, yaml or keycloak."""
        warn_once.cache_clear()
        foreign = [{**profile, "access": "yaml"} for profile in one(image="free")]
        spawner = await chosen({"profile": "one"}, profile_list=lambda spawner: foreign)

        assert spawner.image == "free"
        assert "One" in await spawner.get_options_form()
        (message,) = caplog.messages
        assert message.startswith("KubeSpawner.profile_list's profiles: ")
        assert "nor does access that is a string" in message

    async def test_a_word_as_access_in_a_list_leaves_out_the_profile(self, caplog):
        """Nobody filters a list, and a mistake must not open what it should restrict."""
        warn_once.cache_clear()
        mistaken = [{"display_name": "Small"}, {**one()[0], "access": "gpu-users"}]

        assert (await refusal({"profile": "one"}, profile_list=mistaken)).sentence.startswith(
            "There is no profile"
        )
        assert "KubeSpawner.profile_list[1].access: must be a dictionary, not a string" in caplog.text

    async def test_of_many_foreign_rules_the_log_names_the_first(self, caplog):
        warn_once.cache_clear()
        many = [{"display_name": f"p{number}", "allowed_groups": []} for number in range(9)]
        bare_spawner(profile_list=many)

        (told,) = caplog.messages
        assert "profile_list[4].allowed_groups and 4 more: " in told

    async def test_a_name_that_is_made_before_the_profile_is_told_when_the_hub_starts(self, caplog):
        warn_once.cache_clear()
        spawner = chooser(profile_list=one(pod_name_template="pod-{username}-x"))
        assert "profile_list[0].kubespawner_override.pod_name_template: has no effect" in caplog.text

        await spawner.load_user_options()
        assert spawner.pod_name == "jupyter-ada"

    @pytest.mark.parametrize(
        ("useless", "message"),
        [
            (
                {"display_name": "one"},
                'KubeSpawner.profile_list[1]: the slug "one" is already used by profile_list[0]',
            ),
            (
                {"display_name": "Much", "kubespawner_override": {"mem_limit": "lots"}},
                "KubeSpawner.profile_list[1].kubespawner_override.mem_limit: The 'mem_limit' trait of a KubeSpawner",
            ),
            (
                {"display_name": "Secret", "kubespawner_override": {"environment": "PASSWORD=hunter2"}},
                "KubeSpawner.profile_list[1].kubespawner_override.environment: must be a dict, not a str",
            ),
        ],
    )
    async def test_a_profile_that_nobody_can_use_is_told_and_leaves_the_others_alone(
        self, useless, message, caplog
    ):
        warn_once.cache_clear()
        spawner = await chosen({"profile": "one"}, profile_list=[*one(image="good"), useless])

        assert spawner.image == "good"
        assert message in caplog.text
        assert "hunter2" not in caplog.text

    async def test_a_value_that_its_setting_refuses_is_refused_when_it_is_chosen(self):
        diagnosis = await refusal({"profile": "one"}, profile_list=one(mem_limit="lots"))

        assert "gives mem_limit an invalid value" in diagnosis.sentence

    async def test_profiles_have_the_defaults_of_kubespawner(self):
        spawner = bare_spawner()

        assert (spawner.profile_list, spawner.profile_form_template) == ([], "")
        assert spawner.additional_profile_form_template_paths == []
        assert await spawner.get_options_form() == ""

    @pytest.mark.parametrize("is_function", [False, True])
    async def test_a_setting_that_the_spawner_does_not_know_is_set_and_told_once_with_its_place(
        self, is_function, caplog
    ):
        warn_once.cache_clear()
        strange = one(mem_limits="1G", other={"a": 1})
        for _ in range(2):
            spawner = await chosen(profile_list=(lambda spawner: strange) if is_function else strange)

        assert (spawner.mem_limits, spawner.other) == ("1G", {"a": 1})
        place = "KubeSpawner.profile_list[0].kubespawner_override"
        assert caplog.messages == [
            f"{place}.mem_limits: is not an option of the spawner; did you mean mem_limit?",
            f"{place}.other: is not an option of the spawner; it is set, but only hooks can use it",
        ]

    async def test_attributes_that_are_no_traits_are_set_without_a_warning(self, caplog):
        spawner = await chosen(profile_list=one(pvc_name="claim-shared", namespace="other"))

        assert (spawner.pvc_name, spawner.namespace) == ("claim-shared", "other")
        assert caplog.text == ""


class TestOverrides:
    async def test_the_default_profile_applies_without_a_choice(self):
        assert (await chosen()).mem_limit == 1024**3

    async def test_options_apply_after_the_profile(self):
        spawner = await chosen({"profile": "gpu", "image--unlisted-choice": "pangeo/x", "cards": "2"})

        assert spawner.image == "pangeo/x"
        assert spawner.environment == {"MODE": "gpu", "IMAGE": "pangeo/x"}
        assert spawner.extra_labels == {"cards": "2"}

    async def test_dictionaries_are_merged_and_other_values_replaced(self):
        spawner = await chosen(
            profile_list=one(
                environment={"A": None, "B": "2"}, tolerations=[{"key": "b"}], volumes={"b": {}}
            ),
            environment={"A": "1", "C": "3"},
            tolerations=[{"key": "a"}],
            volumes={"a": {}},
        )

        assert spawner.environment == {"B": "2", "C": "3"}
        assert spawner.tolerations == [{"key": "b"}]
        assert spawner.volumes == {"a": {}, "b": {}}

    async def test_a_dictionary_replaces_a_list(self):
        assert (await chosen(profile_list=one(volumes={"b": {}}), volumes=[{"name": "a"}])).volumes == {
            "b": {}
        }

    async def test_what_is_configured_stays_what_it_was(self):
        shared = profiles()
        before = deepcopy(shared)
        spawner = await chosen(
            {"profile": "gpu", "image--unlisted-choice": "pangeo/x"}, profile_list=lambda spawner: shared
        )
        spawner.environment["LATER"] = "1"
        spawner.extra_labels["LATER"] = "1"

        assert shared == before

    async def test_a_list_that_hooks_append_to_is_not_the_profiles(self):
        shared = one(init_containers=[{"name": "first"}])
        spawner = await chosen(profile_list=lambda spawner: shared)
        spawner.init_containers.append({"name": "second"})

        assert shared == one(init_containers=[{"name": "first"}])

    async def test_a_list_that_a_function_returns_stays_its_own(self):
        shared = [{"name": "first"}]
        spawner = await chosen(profile_list=one(init_containers=lambda spawner: shared))
        spawner.init_containers.append({"name": "second"})

        assert shared == [{"name": "first"}]

    async def test_functions_are_called_with_the_spawner_in_order_and_awaited(self):
        async def tag(spawner):
            await asyncio.sleep(0)
            return f"{spawner.image}:{spawner.user.name}"

        spawner = await chosen(profile_list=one(image="lab", image_pull_policy=lambda spawner: "Always"))
        assert spawner.image_pull_policy == "Always"
        override = {"image": tag, "environment": lambda spawner: {"IMAGE": spawner.image}}
        spawner = await chosen(profile_list=one(**override), image="lab")

        assert spawner.image == "lab:ada"
        assert spawner.environment == {"IMAGE": "lab:ada"}

    async def test_models_of_the_client_library_are_taken(self):
        container = client.V1Container(name="side")
        spawner = await chosen(profile_list=one(extra_containers=[container]))

        assert spawner.extra_containers == [container]

    async def test_a_value_that_a_setting_cannot_have_is_refused_in_a_sentence(self):
        unlisted = {"enabled": True, "kubespawner_override": {"mem_limit": "{value}"}}
        sized = [{"display_name": "One", "profile_options": {"size": {"unlisted_choice": unlisted}}}]

        assert (await chosen({"size--unlisted-choice": "2G"}, profile_list=sized)).mem_limit == 2 * 1024**3
        diagnosis = await refusal({"size--unlisted-choice": "lots"}, profile_list=sized)
        assert diagnosis.sentence == (
            'The profile "One" does not work with these choices: they give mem_limit an invalid value. '
            "Choose something else, or contact your administrator."
        )
        for odd in ("infG", "nanG", "1e400G", "-infK"):
            assert (await refusal({"size--unlisted-choice": odd}, profile_list=sized)) == diagnosis

        async def wrong(spawner):
            return "lots"

        said = (await refusal({}, profile_list=one(mem_limit=wrong))).sentence
        assert said.endswith(" gives mem_limit an invalid value. Contact your administrator."), said

    async def test_a_trait_of_a_subclass_may_refuse_a_value_with_any_exception(self, caplog):
        warn_once.cache_clear()

        class WithScratch(KubeSpawner):
            scratch = ByteSpecification(config=True)

        diagnosis = await refusal({}, profile_list=one(scratch="infG"), spawner_class=WithScratch)

        assert "gives scratch an invalid value" in diagnosis.sentence
        assert "kubespawner_override.scratch: must be an int; it raises OverflowError" in caplog.text

    async def test_a_users_braces_never_become_a_template(self):
        override = {
            "extra_labels": {"tag": "{value}-{username}"},
            "environment": {"TAG": "{value}"},
            "default_url": "/lab/{value}",
            "image": "lab:{value}",
        }
        unlisted = {"enabled": True, "kubespawner_override": override}
        tagged = [{"display_name": "One", "profile_options": {"tag": {"unlisted_choice": unlisted}}}]
        spawner = await chosen({"tag--unlisted-choice": "{nope}"}, profile_list=tagged)

        pod = await spawner.get_pod_manifest()
        env = {variable.name: variable.value for variable in pod.spec.containers[0].env}
        assert pod.metadata.labels["tag"] == "{nope}-ada"
        assert env["TAG"] == "{nope}"
        assert env["JUPYTERHUB_DEFAULT_URL"] == "/lab/{nope}"
        assert pod.spec.containers[0].image == "lab:{nope}"

    async def test_subclasses_may_call_these_methods_without_awaiting_them(self):
        class Ours(KubeSpawner):
            def _load_profile(self, slug, profile_list):
                super()._load_profile(slug, profile_list)
                self.image = f"{self.image}!"

            def _apply_overrides(self, spawner_override):
                super()._apply_overrides({**spawner_override, "working_dir": "/work"})

        spawner = await chosen({"profile": "gpu"}, spawner_class=Ours)
        assert (spawner.image, spawner.working_dir) == ("lab:2!", "/work")

        spawner._apply_overrides({"image": lambda spawner: "direct", "environment": {"MODE": None}})
        assert (spawner.image, spawner.environment) == ("direct", {})

    async def test_the_methods_of_kubespawner_answer_as_its_own(self):
        spawner = chooser({"profile": "gpu", "image": "old"})
        known = spawner._get_initialized_profile_list(profiles())

        assert spawner._get_profile("gpu", known)["display_name"] == "Data science, with a GPU"
        assert spawner._get_profile(None, known)["slug"] == "small"
        spawner._validate_user_options(known)
        with pytest.raises(ValueError, match='no profile "x"'):
            spawner._get_profile("x", known)
        spawner.user_options = {"profile": "gpu", "image": "older"}
        with pytest.raises(ValueError, match='no choice "older"'):
            spawner._validate_user_options(known)
        assert spawner._sorted_dict_values({"b": 1, "a": 2}) == [2, 1]
        assert spawner._sorted_dict_values([1]) == [1]


class TestLists:
    async def test_a_dictionary_is_read_in_the_order_of_its_keys(self):
        by_key = {
            "b": {"display_name": "B"},
            "a": {"display_name": "A", "kubespawner_override": {"image": "a"}},
        }

        assert (await chosen(profile_list=by_key)).image == "a"
        assert (await chosen(profile_list=lambda spawner: by_key)).image == "a"

    async def test_a_function_may_be_async_and_is_asked_for_the_form_and_for_the_start(self):
        asked = []

        async def listing(spawner):
            asked.append(spawner.user.name)
            return profiles()

        spawner = chooser({"profile": "gpu"}, profile_list=listing)
        assert 'value="gpu"' in await spawner.get_options_form()
        await spawner.load_user_options()

        assert spawner.image == "lab:2"
        assert asked == ["ada", "ada"]

    @pytest.mark.parametrize("empty", [[], {}, None])
    async def test_no_profiles_means_no_form_and_no_change(self, empty, caplog):
        caplog.set_level(logging.INFO)
        spawner = await chosen({"profile": "gone"}, profile_list=lambda spawner: empty)

        assert await spawner.get_options_form() == ""
        assert "no profile knows these user_options: profile" in caplog.text

    @pytest.mark.parametrize("nonsense", ["small", 7, (profile for profile in profiles())])
    async def test_a_function_that_returns_nonsense_is_the_administrators_concern(self, nonsense):
        spawner = chooser(profile_list=lambda spawner: nonsense)
        diagnosis = await refusal({}, profile_list=lambda spawner: nonsense)

        assert diagnosis.sentence == (
            "The profiles of this hub are not configured correctly, so no server can start. Contact your administrator."
        )
        assert diagnosis.detail.startswith("profile_list: must be a list or a dictionary of profiles, not a ")
        assert diagnosis.sentence in Page(await spawner.get_options_form()).text

    async def test_unknown_options_are_told_by_their_names_only(self, caplog):
        caplog.set_level(logging.INFO)
        await chosen({"profile": "small", "note\nERROR": "secret"})

        assert "ada: no profile knows these user_options: note ERROR" in caplog.text
        assert "secret" not in caplog.text


class TestRules:
    async def test_a_group_opens_a_profile(self):
        assert await chosen({"profile": "staff"}, profile_list=ruled(), groups=["staff"])
        assert (await refusal({"profile": "staff"}, profile_list=ruled())).sentence == (
            'The profile "staff" is not available to you; choose one of "adas" and "shared".'
        )

    async def test_what_is_for_others_is_not_in_the_form(self):
        form = await chooser(profile_list=ruled()).get_options_form()
        assert 'value="adas" checked' in form
        assert "Staff" not in form
        assert "huge" not in form

        assert "huge" in await chooser(profile_list=ruled(), groups=["staff"]).get_options_form()

    async def test_where_nothing_is_for_the_user_the_form_says_so_even_with_a_template(self):
        nobody = [{"display_name": "A", "access": {"groups": ["staff"]}}]
        form = await chooser(profile_list=nobody, profile_form_template="custom").get_options_form()

        assert "No profile is available to you. Ask your administrator for access." in form
        assert "custom" not in form
        assert "No profile is available" in (await refusal({}, profile_list=nobody)).sentence


class TestForm:
    TEMPLATE = "{{ profile_list|map(attribute='slug')|join(' ') }} {{ user_options|tojson }} {{ '<b>' }}"

    async def test_a_template_gets_profiles_and_valid_options_and_does_not_escape(self):
        saved = {"profile": "gpu", "image": "gone", "cards": "2"}
        spawner = chooser(saved, profile_form_template=self.TEMPLATE)

        assert await spawner.get_options_form() == 'small gpu anything {"profile": "gpu", "cards": "2"} <b>'

    async def test_a_form_html_in_the_paths_is_used_and_may_include_its_neighbours(self, tmp_path: Path):
        (tmp_path / "form.html").write_text("{% include 'style.css' %}{{ profile_list[0]|tojson }}")
        (tmp_path / "style.css").write_text("a{}")
        spawner = chooser(
            profile_list=[{"display_name": "Z", "b": 1, "a": 2}],
            additional_profile_form_template_paths=["/nowhere", str(tmp_path)],
        )

        form = await spawner.get_options_form()
        assert form.startswith("a{}{")
        assert form.index('"b"') < form.index('"a"')

    async def test_an_own_form_may_include_what_the_package_brings(self, tmp_path: Path):
        (tmp_path / "form.html").write_text(
            "<style>{% include 'style.css' %}</style>{{ profile_list|length }}"
        )
        spawner = chooser(additional_profile_form_template_paths=[str(tmp_path)])

        form = await spawner.get_options_form()
        assert form.startswith("<style>\n.k8s-hub-profiles")
        assert form.endswith("</style>3")

    @pytest.mark.parametrize(
        "text",
        [
            "<p>Read this.</p>{% include 'form.html' %}",
            "{% autoescape true %}<p>Read this.</p>{% include 'form.html' %}{% endautoescape %}",
        ],
    )
    async def test_an_own_text_may_include_the_packages_form(self, text):
        saved = {"profile": "gpu", "image--unlisted-choice": "pangeo/<b>{{ 7 * 7 }}"}
        spawner = chooser(saved, profile_form_template=text)
        plain = await chooser(saved).get_options_form()

        assert await spawner.get_options_form() == "<p>Read this.</p>" + plain
        assert "{{" not in plain

    async def test_an_own_text_may_extend_the_directories_form(self, tmp_path: Path):
        (tmp_path / "form.html").write_text("{% block top %}{% endblock %}{% include 'style.css' %}")
        (tmp_path / "style.css").write_text("own")
        spawner = chooser(
            profile_form_template="{% extends 'form.html' %}{% block top %}mine {% endblock %}",
            additional_profile_form_template_paths=[str(tmp_path)],
        )

        assert await spawner.get_options_form() == "mine own"

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_the_recipe_for_a_form_of_ones_own_shows_the_profiles_that_it_set(self, is_async):
        def recipe(spawner):
            groups = [group.name for group in spawner.user.groups]
            spawner.profile_list = profiles() if "staff" in groups else profiles()[:1]
            return spawner._options_form_default()

        async def later(spawner):
            return recipe(spawner)

        async def slugs(*groups):
            spawner = chooser(profile_list=[], groups=groups, options_form=later if is_async else recipe)
            form = Page(await spawner.get_options_form())
            return [element["value"] for element in form.all("input", type="radio")]

        assert await slugs("staff") == ["small", "gpu", "anything"]
        assert await slugs() == ["small"]

    async def test_the_default_form_of_a_list_is_text_and_of_a_function_a_function(self):
        assert chooser(profile_list=[])._options_form_default() == ""
        assert 'value="gpu"' in chooser()._options_form_default()
        by_key = {"b": {"display_name": "B"}, "a": {"display_name": "A"}}
        text = chooser(profile_list=by_key)._options_form_default()
        assert text.index('value="a"') < text.index('value="b"')
        function = chooser(profile_list=lambda spawner: profiles())
        assert 'value="gpu"' in await function._options_form_default()(function)

    async def test_a_subclass_may_bring_a_default_form(self):
        class Ours(KubeSpawner):
            @traitlets.default("options_form")
            def _options_form_default(self):
                return "<p>Read this.</p>" + super()._options_form_default()

        form = await chooser(spawner_class=Ours).get_options_form()
        assert form.startswith("<p>Read this.</p>")
        assert 'value="gpu"' in form

    async def test_a_template_that_includes_what_is_missing_says_so(self, tmp_path: Path, caplog):
        (tmp_path / "form.html").write_text("{% include 'missing.css' %}")
        spawner = chooser(additional_profile_form_template_paths=[str(tmp_path)])

        with pytest.raises(Exception, match="a function of this hub failed"):
            await spawner.get_options_form()
        assert "TemplateNotFound: missing.css" in caplog.text

    async def test_the_template_as_text_comes_before_the_paths(self, tmp_path: Path):
        (tmp_path / "form.html").write_text("from a file")
        spawner = chooser(
            profile_form_template="as text", additional_profile_form_template_paths=[str(tmp_path)]
        )

        assert await spawner.get_options_form() == "as text"

    async def test_the_form_follows_the_last_choice_of_a_living_spawner(self):
        spawner = chooser()
        assert 'value="small" checked' in await spawner.get_options_form()

        spawner.user_options = {"profile": "gpu", "cards": "2"}
        form = await spawner.get_options_form()
        assert 'value="gpu" checked' in form
        assert '<option value="2" selected>' in form


class TestAnswer:
    async def test_a_posted_form_and_a_link_are_judged_alike(self, caplog):
        for answer in (KubeSpawner.run_options_from_form, KubeSpawner.options_from_query):
            spawner = chooser()
            right = {"profile": ["gpu"], "profile-option-gpu--image": ["old"], "junk": ["x"]}
            assert await answer(spawner, right) == {"profile": "gpu", "image": "old"}
            assert "ignored the form's fields junk" in caplog.text
            caplog.clear()

            with pytest.raises(Exception, match="no profile") as error:
                await answer(spawner, {"profile": ["huge"]})
            assert error.value.status_code == 400
            assert error.value.jupyterhub_message.startswith('There is no profile "huge"; choose')
            assert "&quot;huge&quot;" in error.value.jupyterhub_html_message

    async def test_an_expression_that_takes_for_ever_is_refused_and_named_in_the_log(self, caplog):
        unlisted = {"enabled": True, "validation_regex": "(a|a)*b"}
        slow = [{"display_name": "A", "profile_options": {"tag": {"unlisted_choice": unlisted}}}]
        spawner = chooser(profile_list=slow)
        typed = {"profile": ["a"], "profile-option-a--tag--unlisted-choice": ["a" * 60]}
        with pytest.raises(Exception, match="took too long") as error:
            await spawner.run_options_from_form(typed)

        assert error.value.status_code == 400
        assert (
            "ada: option 'tag': the validation_regex '(a|a)*b' was too slow for a value of 60" in caplog.text
        )
        assert f'value="{"a" * 60}"' in await spawner.get_options_form()
        diagnosis = await refusal({"tag--unlisted-choice": "a" * 60}, profile_list=slow)
        assert "'(a|a)*b'" in diagnosis.detail
        assert "(a|a)*b" not in diagnosis.sentence

    async def test_what_was_refused_is_shown_again_for_correction(self):
        spawner = chooser()
        posted = {
            "profile": ["gpu"],
            "profile-option-gpu--cards": ["2"],
            "profile-option-gpu--image--unlisted-choice": ['evil/"x'],
        }
        with pytest.raises(Exception, match="cannot be"):
            await spawner.run_options_from_form(posted)

        form = await spawner.get_options_form()
        assert 'value="gpu" checked' in form
        assert '<option value="2" selected>' in form
        assert 'value="evil/&#34;x"' in form

        posted["profile-option-gpu--image--unlisted-choice"] = ["pangeo/x"]
        await spawner.run_options_from_form(posted)
        assert "evil" not in await spawner.get_options_form()

    @pytest.mark.parametrize(
        "traits",
        [
            {"pre_spawn_hook": lambda spawner: None},
            {"auth_state_hook": lambda spawner, auth_state: None},
            {"apply_user_options": lambda spawner, user_options: None},
            {"group_overrides": {"staff": {"groups": ["staff"], "spawner_override": {"profile_list": []}}}},
            {"profile_list": lambda spawner: profiles()},
        ],
        ids=lambda traits: next(iter(traits)),
    )
    async def test_what_code_may_still_change_is_judged_at_the_start(self, traits):
        spawner = chooser(**traits)

        assert await spawner.run_options_from_form({"profile": ["huge"]}) == {"profile": "huge"}

    async def test_what_the_authenticator_may_still_change_is_judged_at_the_start(self):
        class Ours(Authenticator):
            async def pre_spawn_start(self, user, spawner):
                spawner.profile_list = []

        spawner = chooser()
        spawner.authenticator = Ours()
        assert await spawner.run_options_from_form({"profile": ["huge"]}) == {"profile": "huge"}

        spawner.authenticator = DummyAuthenticator()
        with pytest.raises(Exception, match="no profile"):
            await spawner.run_options_from_form({"profile": ["huge"]})

    async def test_a_subclass_with_options_of_its_own_judges_them_itself(self):
        class Ours(KubeSpawner):
            async def load_user_options(self):
                self.image = self.user_options["image"]

        spawner = chooser(spawner_class=Ours)
        assert await spawner.run_options_from_form({"profile": ["mine"]}) == {"profile": "mine"}

    async def test_a_configured_options_from_form_is_used(self):
        def parse(formdata, spawner):
            return {"profile": formdata["kind"][0]}

        spawner = chooser(options_from_form=parse)
        assert await spawner.run_options_from_form({"kind": ["gpu"]}) == {"profile": "gpu"}
        with pytest.raises(Exception, match="no profile"):
            await spawner.run_options_from_form({"kind": ["huge"]})


OPTIONS = {"profile": "gpu", "image": "old", "note": "x"}


class TestHubsOwnOptions:
    async def test_options_of_profiles_are_no_strangers_to_the_hub(self, caplog):
        await chooser()._run_apply_user_options(OPTIONS)
        assert caplog.text == ""

        await chooser(profile_list=[])._run_apply_user_options(OPTIONS)
        assert "Received unhandled user_options" in caplog.text

    async def test_a_mapping_of_options_is_applied(self, caplog):
        spawner = chooser(apply_user_options={"note": "working_dir", "image": "image"})
        await spawner._run_apply_user_options(OPTIONS)

        assert (spawner.working_dir, spawner.image) == ("x", "old")
        assert caplog.text == ""

    async def test_a_function_gets_all_options(self):
        seen = []
        spawner = chooser(apply_user_options=lambda spawner, user_options: seen.append(user_options))
        await spawner._run_apply_user_options(OPTIONS)

        assert seen == [OPTIONS]


async def test_the_documented_lists_are_possible():
    text = (Path(__file__).parents[2] / "docs/howto/profiles.md").read_text()
    blocks = [block.partition("```")[0] for block in text.split("```python\n")[1:]]
    lists = [block for block in blocks if block.startswith("c.KubeSpawner.profile_list = [")]

    assert len(lists) == 2
    for block in lists:
        config = Config()
        exec(block, {"c": config})
        spawner = bare_spawner(config=config)
        assert "Small" in spawner._render_options_form([spawner.profile_list[0]])


async def test_a_required_value_is_asked_for():
    assert (await refusal({}, profile_list=[REQUIRED])).sentence == 'The option "image" needs a value.'


async def test_a_secret_in_a_sentence_is_not_shown():
    diagnosis = await refusal({"profile": "https://me:hunter2@example.org"})
    assert "hunter2" not in diagnosis.sentence
