"""Profiles for machines with and without GPUs, with options, in a dictionary that the chart's values merge into."""

c = get_config()  # noqa: F821

c.KubeSpawner.profile_list = [
    {
        "display_name": "Shared machine",
        "slug": "shared",
        "description": "For courses",
        "default": True,
        "kubespawner_override": {
            "cpu_guarantee": 0.05,
            "cpu_limit": 2,
            "mem_guarantee": "512M",
            "mem_limit": "2G",
        },
    },
    {
        "display_name": "Machine with GPUs",
        "slug": "gpu",
        "profile_options": {
            "image": {
                "display_name": "Image",
                "unlisted_choice": {
                    "enabled": True,
                    "display_name": "Image by name",
                    "validation_regex": r"[a-z0-9./_-]+:[\w.-]+",
                    "kubespawner_override": {"image": "{value}"},
                },
                "choices": {
                    "pytorch": {
                        "display_name": "PyTorch",
                        "default": True,
                        "kubespawner_override": {
                            "image": "quay.io/jupyter/pytorch-notebook:cuda12-2025-03-31"
                        },
                    },
                },
            },
            "count": {
                "display_name": "Number of GPUs",
                "choices": {
                    str(count): {
                        "display_name": f"{count} x A100",
                        "kubespawner_override": {
                            "extra_resource_limits": {"nvidia.com/gpu": str(count)},
                            "extra_resource_guarantees": {"nvidia.com/gpu": str(count)},
                            "mem_guarantee": f"{64 * count}G",
                        },
                    }
                    for count in (1, 2, 4)
                },
            },
        },
        "kubespawner_override": {
            "cpu_guarantee": 8,
            "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-tesla-a100"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "extra_pod_config": {"runtimeClassName": None, "terminationGracePeriodSeconds": 60},
            "environment": {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility", "WHO": "{username}"},
            "volumes": {"shm": {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}},
            "volume_mounts": {"shm": {"name": "shm", "mountPath": "/dev/shm"}},
        },
    },
]
