"""All options of the spawner, collected from their topics."""

from k8s_hub.spawner.deprecated import DeprecatedNames
from k8s_hub.spawner.traits.cluster import ClusterTraits
from k8s_hub.spawner.traits.container import ContainerTraits
from k8s_hub.spawner.traits.hooks import HookTraits
from k8s_hub.spawner.traits.image import ImageTraits
from k8s_hub.spawner.traits.lifetime import LifetimeTraits
from k8s_hub.spawner.traits.metadata import MetadataTraits
from k8s_hub.spawner.traits.naming import NamingTraits
from k8s_hub.spawner.traits.network import NetworkTraits
from k8s_hub.spawner.traits.obsolete import ObsoleteTraits
from k8s_hub.spawner.traits.patience import PatienceTraits
from k8s_hub.spawner.traits.profiles import ProfileTraits
from k8s_hub.spawner.traits.resources import ResourceTraits
from k8s_hub.spawner.traits.scheduling import SchedulingTraits
from k8s_hub.spawner.traits.security import SecurityTraits
from k8s_hub.spawner.traits.storage import StorageTraits


class Options(
    ClusterTraits,
    NamingTraits,
    MetadataTraits,
    ImageTraits,
    ContainerTraits,
    SecurityTraits,
    SchedulingTraits,
    ResourceTraits,
    StorageTraits,
    NetworkTraits,
    HookTraits,
    LifetimeTraits,
    ProfileTraits,
    PatienceTraits,
    ObsoleteTraits,
    DeprecatedNames,
):
    """What an administrator configures, beside what JupyterHub's own Spawner has."""
