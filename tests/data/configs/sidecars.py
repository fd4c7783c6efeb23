"""Containers beside the user's and before it, as objects of the client library, appended to lists nobody has set."""

from kubernetes_asyncio.client import (
    V1Container,
    V1ContainerPort,
    V1EnvVar,
    V1ResourceRequirements,
    V1SecurityContext,
    V1VolumeMount,
)

c = get_config()  # noqa: F821

c.KubeSpawner.init_containers.append(
    V1Container(
        name="volume-mount-hack",
        image="busybox:1.37",
        command=["sh", "-c", "id && chown 1000:100 /home/jovyan && ls -lhd /home/jovyan"],
        security_context=V1SecurityContext(run_as_user=0),
        volume_mounts=[V1VolumeMount(name="home", mount_path="/home/jovyan")],
    )
)
c.KubeSpawner.init_containers.append(
    {
        "name": "git-clone",
        "image": "alpine/git:2.47.2",
        "args": ["clone", "https://example.test/{username}.git", "/home/jovyan/course"],
        "volumeMounts": [{"name": "home", "mountPath": "/home/jovyan"}],
        "restartPolicy": None,
    }
)
c.KubeSpawner.extra_containers.extend(
    [
        V1Container(
            name="database",
            image="postgres:17",
            env=[V1EnvVar(name="POSTGRES_PASSWORD", value="not {secret}")],
            ports=[V1ContainerPort(name="postgres", container_port=5432)],
            resources=V1ResourceRequirements(
                requests={"cpu": "50m", "memory": "64Mi"}, limits={"memory": "256Mi"}
            ),
        )
    ]
)
c.KubeSpawner.volumes.append({"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}})
c.KubeSpawner.volume_mounts.append({"name": "home", "mountPath": "/home/jovyan"})
