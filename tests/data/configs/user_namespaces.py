"""A namespace for each user."""

c = get_config()  # noqa: F821

c.KubeSpawner.enable_user_namespaces = True
c.KubeSpawner.user_namespace_template = "{hubnamespace}-{username}"
c.KubeSpawner.user_namespace_labels = {
    "pod-security.kubernetes.io/warn": "restricted",
    "example.org/user": "{username}",
}
c.KubeSpawner.user_namespace_annotations = {"example.org/user": "{unescaped_username}"}
