"""One claim, made by the administrator, with a folder for each user: the chart's `singleuser.storage.type: static`."""

c = get_config()  # noqa: F821

c.KubeSpawner.storage_pvc_ensure = False
c.KubeSpawner.pvc_name_template = "nfs-homes"
c.KubeSpawner.volumes = {
    "home": {"name": "home", "persistentVolumeClaim": {"claimName": "nfs-homes"}},
    "shared": {"name": "shared", "persistentVolumeClaim": {"claimName": "nfs-shared", "readOnly": True}},
}
c.KubeSpawner.volume_mounts = {
    "home": {"name": "home", "mountPath": "/home/jovyan", "subPath": "home/{username}"},
    "per-server": {
        "name": "home",
        "mountPath": "/scratch",
        "subPathExpr": "scratch/{user_server}/$(JUPYTERHUB_USER)",
    },
    "shared": {"name": "shared", "mountPath": "/home/jovyan/shared", "subPath": None, "readOnly": True},
}
