"""Pods against the restricted standard and pods within it, one rule each; the API server is asked about the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

APPARMOR = "container.apparmor.security.beta.kubernetes.io/notebook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    pod: dict[str, Any]
    contradictions: tuple[str, ...] = ()
    name: str = field(default="")

    def __str__(self) -> str:
        return self.name


def pod_with(
    *,
    context: Mapping[str, Any] | None = None,
    container: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return a small pod with this in its context, its container's context, its annotations, its spec."""
    notebook = {"name": "notebook", "image": "any"}
    if container is not None:
        notebook |= {"securityContext": dict(container)}
    whole = {"containers": [notebook], **spec}
    if context is not None:
        whole |= {"securityContext": dict(context)}
    metadata = {"name": "jupyter-ada"} | ({} if annotations is None else {"annotations": dict(annotations)})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole}


def notebook(**fields: Any) -> dict[str, Any]:
    """Return a pod whose container has these fields."""
    return pod_with(containers=[{"name": "notebook", "image": "any", **fields}])


def init(**context: Any) -> dict[str, Any]:
    """Return a pod with an init container of this context."""
    return pod_with(initContainers=[{"name": "prepare", "image": "any", "securityContext": context}])


def extra(**context: Any) -> dict[str, Any]:
    """Return a pod with a second container of this context."""
    containers = [
        {"name": "notebook", "image": "any"},
        {"name": "proxy", "image": "any", "securityContext": context},
    ]
    return pod_with(containers=containers)


def volume(**source: Any) -> dict[str, Any]:
    """Return a pod with one volume."""
    return pod_with(volumes=[{"name": "data", **source}])


_POD, _NOTEBOOK = "spec.securityContext", "spec.containers[notebook].securityContext"
_PREPARE, _PROXY = "spec.initContainers[prepare].securityContext", "spec.containers[proxy].securityContext"
_HTTP = {"path": "/", "port": 8888, "host": "10.0.0.1"}
_TCP = {"port": 8888, "host": "10.0.0.1"}

_AGAINST: dict[str, dict[str, Any]] = {
    # Baseline
    "spec.hostNetwork = True": pod_with(hostNetwork=True),
    "spec.hostPID = True": pod_with(hostPID=True),
    "spec.hostIPC = True": pod_with(hostIPC=True),
    f"{_NOTEBOOK}.privileged = True": pod_with(container={"privileged": True}),
    f"{_PREPARE}.privileged = True": init(privileged=True),
    f"{_PROXY}.privileged = True": extra(privileged=True),
    f"{_NOTEBOOK}.capabilities.add = 'SYS_ADMIN'": pod_with(
        container={"capabilities": {"add": ["SYS_ADMIN"], "drop": ["ALL"]}}
    ),
    # The baseline allows this one, the restricted standard does not.
    f"{_NOTEBOOK}.capabilities.add = 'CHOWN'": pod_with(
        container={"capabilities": {"add": ["NET_BIND_SERVICE", "CHOWN"]}}
    ),
    f"{_PREPARE}.capabilities.add = 'NET_ADMIN'": init(capabilities={"add": ["NET_ADMIN"]}),
    "spec.containers[notebook].ports.hostPort = 80": notebook(
        ports=[{"containerPort": 8888}, {"containerPort": 80, "hostPort": 80}]
    ),
    f"metadata.annotations[{APPARMOR}] = 'unconfined'": pod_with(annotations={APPARMOR: "unconfined"}),
    f"{_POD}.appArmorProfile.type = 'Unconfined'": pod_with(
        context={"appArmorProfile": {"type": "Unconfined"}}
    ),
    f"{_NOTEBOOK}.appArmorProfile.type = 'Unconfined'": pod_with(
        container={"appArmorProfile": {"type": "Unconfined"}}
    ),
    f"{_POD}.seLinuxOptions.type = 'spc_t'": pod_with(context={"seLinuxOptions": {"type": "spc_t"}}),
    f"{_NOTEBOOK}.seLinuxOptions.type = 'spc_t'": pod_with(container={"seLinuxOptions": {"type": "spc_t"}}),
    f"{_POD}.seLinuxOptions.user = 'sysadm_u'": pod_with(context={"seLinuxOptions": {"user": "sysadm_u"}}),
    f"{_NOTEBOOK}.seLinuxOptions.role = 'sysadm_r'": pod_with(
        container={"seLinuxOptions": {"role": "sysadm_r"}}
    ),
    f"{_NOTEBOOK}.procMount = 'Unmasked'": pod_with(container={"procMount": "Unmasked"}, hostUsers=False),
    f"{_POD}.sysctls = 'kernel.msgmax'": pod_with(
        context={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}
    ),
    f"{_POD}.seccompProfile.type = 'Unconfined'": pod_with(
        context={"seccompProfile": {"type": "Unconfined"}}
    ),
    f"{_NOTEBOOK}.seccompProfile.type = 'Unconfined'": pod_with(
        container={"seccompProfile": {"type": "Unconfined"}}
    ),
    f"{_PREPARE}.seccompProfile.type = None": init(seccompProfile={}),
    f"{_PROXY}.appArmorProfile.type = None": extra(appArmorProfile={}),
    **{
        f"spec.containers[notebook].{probe}.{action}.host = '10.0.0.1'": notebook(
            **{probe: {action: {"httpGet": _HTTP, "tcpSocket": _TCP}[action]}}
        )
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        for action in ("httpGet", "tcpSocket")
    },
    **{
        f"spec.containers[notebook].lifecycle.{moment}.httpGet.host = '10.0.0.1'": notebook(
            lifecycle={moment: {"httpGet": _HTTP}}
        )
        for moment in ("postStart", "preStop")
    },
    # Restricted
    f"{_NOTEBOOK}.allowPrivilegeEscalation = True": pod_with(container={"allowPrivilegeEscalation": True}),
    f"{_PREPARE}.allowPrivilegeEscalation = True": init(allowPrivilegeEscalation=True),
    f"{_POD}.runAsNonRoot = False": pod_with(context={"runAsNonRoot": False}),
    f"{_NOTEBOOK}.runAsNonRoot = False": pod_with(container={"runAsNonRoot": False}),
    f"{_POD}.runAsUser = 0": pod_with(context={"runAsUser": 0}),
    f"{_NOTEBOOK}.runAsUser = 0": pod_with(container={"runAsUser": 0}),
    f"{_PREPARE}.runAsUser = 0": init(runAsUser=0),
    **{
        f"spec.volumes[data] = '{kind}'": volume(**{kind: source})
        for kind, source in {
            "hostPath": {"path": "/"},
            "nfs": {"server": "files", "path": "/"},
            "gcePersistentDisk": {"pdName": "disk"},
            "awsElasticBlockStore": {"volumeID": "disk"},
            "azureDisk": {"diskName": "disk", "diskURI": "uri"},
            "azureFile": {"secretName": "key", "shareName": "share"},
            "cephfs": {"monitors": ["monitor"]},
            "cinder": {"volumeID": "disk"},
            "fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 0},
            "flexVolume": {"driver": "example.test/driver"},
            "flocker": {"datasetName": "set"},
            "glusterfs": {"endpoints": "cluster", "path": "share"},
            "iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2026-01.test.example:disk", "lun": 0},
            "photonPersistentDisk": {"pdID": "disk"},
            "portworxVolume": {"volumeID": "disk"},
            "quobyte": {"registry": "registry:7861", "volume": "share"},
            "rbd": {"monitors": ["monitor"], "image": "disk"},
            "scaleIO": {"gateway": "gateway", "system": "system", "secretRef": {"name": "key"}, "volumeName": "disk"},
            "storageos": {"volumeName": "disk", "volumeNamespace": "space"},
            "vsphereVolume": {"volumePath": "disk"},
        }.items()
    },
}  # fmt: skip

_WINDOWS = {"os": {"name": "windows"}}
_TWO = (f"{_POD}.windowsOptions.hostProcess = True", f"{_NOTEBOOK}.windowsOptions.hostProcess = True")

AGAINST = [
    *(Case(pod=pod, contradictions=(found,), name=found) for found, pod in _AGAINST.items()),
    Case(
        pod=pod_with(
            context={"windowsOptions": {"hostProcess": True}},
            container={"windowsOptions": {"hostProcess": True}},
            hostNetwork=True,
            **_WINDOWS,
        ),
        contradictions=("spec.hostNetwork = True", *_TWO),
        name="a host process of Windows",
    ),
]

WITHIN = [
    Case(name=name, pod=pod)
    for name, pod in {
        "nothing said": pod_with(),
        "all that is demanded": pod_with(
            context={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            container={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        ),
        "a user": pod_with(context={"runAsUser": 1000}, container={"runAsUser": 1001, "runAsGroup": 0}),
        "non-root said by the container": pod_with(container={"runAsNonRoot": True}),
        "a seccomp profile of the node": pod_with(
            container={"seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/strict.json"}}
        ),
        "a seccomp profile of the node for all": pod_with(
            context={"seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/strict.json"}}
        ),
        "an AppArmor profile of the node": pod_with(
            context={"appArmorProfile": {"type": "Localhost", "localhostProfile": "strict"}}
        ),
        "AppArmor's default in an annotation": pod_with(annotations={APPARMOR: "runtime/default"}),
        "AppArmor's profile of the node in an annotation": pod_with(annotations={APPARMOR: "localhost/strict"}),
        "a low port": pod_with(container={"capabilities": {"add": ["NET_BIND_SERVICE"]}}),
        "some capabilities dropped": pod_with(container={"capabilities": {"drop": ["NET_RAW", "CHOWN"]}}),
        "the usual /proc": pod_with(container={"procMount": "Default"}),
        "not privileged": pod_with(container={"privileged": False}, hostNetwork=False, hostPID=False),
        "an SELinux type for containers": pod_with(
            context={"seLinuxOptions": {"type": "container_t", "level": "s0:c123,c456"}}
        ),
        "an SELinux level": pod_with(container={"seLinuxOptions": {"level": "s0:c123,c456"}}),
        "safe sysctls": pod_with(
            context={
                "sysctls": [
                    {"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"},
                    {"name": "net.ipv4.tcp_rmem", "value": "4096 87380 16777216"},
                ]
            }
        ),
        "a container's port": notebook(ports=[{"containerPort": 8888, "hostPort": 0}]),
        "probes of the container itself": notebook(
            livenessProbe={"httpGet": {"path": "/", "port": 8888}},
            readinessProbe={"tcpSocket": {"port": 8888}},
            lifecycle={"preStop": {"httpGet": {"path": "/", "port": 8888}}},
        ),
        "an init container": init(runAsUser=1000),
        "a second container": extra(runAsNonRoot=True),
        "root in a user namespace": pod_with(hostUsers=False, container={"runAsUser": 0}),
        "root in a user namespace, for all": pod_with(hostUsers=False, context={"runAsNonRoot": False}),
        "a user namespace": pod_with(hostUsers=False),
        "a Windows pod": pod_with(
            context={"windowsOptions": {"runAsUserName": "ContainerUser", "hostProcess": False}}, **_WINDOWS
        ),
        **{
            f"a volume of kind {kind}": volume(**{kind: source})
            for kind, source in {
                "configMap": {"name": "settings"},
                "csi": {"driver": "example.test"},
                "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]},
                "emptyDir": {},
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "1Gi"}},
                        }
                    }
                },
                "image": {"reference": "data:1"},
                "persistentVolumeClaim": {"claimName": "claim-ada"},
                "projected": {"sources": [{"secret": {"name": "key"}}]},
                "secret": {"secretName": "key"},
            }.items()
        },
        "a volume without a kind": volume(),
    }.items()
]  # fmt: skip
