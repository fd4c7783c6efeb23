"""The identity and the privileges of a user's processes."""

from traitlets import Bool, Callable, Dict, Enum, HasTraits, Integer, List, Unicode, Union

from k8s_hub.spawner.config.kinds import OneOf


class SecurityTraits(HasTraits):
    """Service account, user and group ids, privileges, secrets."""

    security_profile = Enum(
        ["", "restricted"],
        "",
        config=True,
        help="""
        Standard that every pod keeps, whatever hooks and profiles make of it.

        "restricted": what the pod leaves open is decided as Kubernetes' restricted Pod Security Standard demands,
        in all its containers; options that contradict it are an error, and so is a pod that does.
        Empty: the pod stays as it is.
        """,
    )

    api_token_in_secret = Bool(
        False,
        config=True,
        help="""
        Whether the server's API token is in a Secret that goes with the pod, and not in the pod's own environment.

        Then an account that may read pods, but not Secrets, cannot act as the user.
        """,
    )

    secret_environment = List(
        Unicode(),
        config=True,
        help="""
        Names of further environment variables whose values are in the Secret and not in the pod.

        Their values cannot refer to others by `$(NAME)`; others can refer to them. For example: ["DB_PASSWORD"].
        """,
    )

    save_access_token = Bool(
        False,
        config=True,
        help="""
        Whether each server gets, when it runs, a token that opens this server only, kept in its saved state.

        For services with the scope `admin:server_state`, such as the idle culler (`ask_servers`). The token has
        `access:servers!server=<user>/<name>`, the hub revokes it when the server ends, and its use does not count as
        activity of the user. The hub's database and admin page have it in plain text.
        """,
    )

    service_account = Unicode(
        None,
        allow_none=True,
        config=True,
        help="""
        Service account of the user's pod. A template.

        None: the namespace's default account, without its token in the pod.
        """,
    )

    automount_service_account_token = Bool(
        None,
        allow_none=True,
        config=True,
        help="""
        Whether the service account's token is mounted in the pod.

        None: only if service_account is set.
        """,
    )

    uid = Union(
        [Integer(), Callable()],
        default_value=None,
        allow_none=True,
        config=True,
        help="""
        User id of the user's container, or a (possibly async) function of the spawner that returns it.

        None: the image's own.
        """,
    )

    gid = Union(
        [Integer(), Callable()],
        default_value=None,
        allow_none=True,
        config=True,
        help="""
        Group id of the user's container, or a function as for uid. None: the image's own.
        """,
    )

    fs_gid = Union(
        [Integer(), Callable()],
        default_value=None,
        allow_none=True,
        config=True,
        help="""
        Group that owns the mounted volumes, or a function as for uid. None: left to Kubernetes.
        """,
    )

    supplemental_gids = OneOf(
        [List(), Callable()],
        config=True,
        help="""
        Further groups of the user's processes, or a function as for uid.
        """,
    )

    privileged = Bool(
        False,
        config=True,
        help="""
        Whether the user's container runs privileged: with the powers of root on its machine.
        """,
    )

    allow_privilege_escalation = Bool(
        False,
        allow_none=True,
        config=True,
        help="""
        Whether a process may gain more privileges than its parent, by sudo for instance.

        None: left to Kubernetes.
        """,
    )

    container_security_context = OneOf(
        [Dict(), Callable()],
        config=True,
        help="""
        Security context of the user's container in camelCase, or a (possibly async) function of the spawner.

        It wins over uid, gid, privileged and allow_privilege_escalation.
        """,
    )

    pod_security_context = OneOf(
        [Dict(), Callable()],
        config=True,
        help="""
        Security context of the user's pod in camelCase, or a (possibly async) function of the spawner.

        It wins over fs_gid and supplemental_gids.
        """,
    )
