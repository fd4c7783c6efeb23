"""Rules about the home volume."""

from dataclasses import replace
from datetime import timedelta

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage, at_deadline
from k8s_hub.diagnosis.rules import diagnose
from tests.diagnosis.samples import CLAIM_UID, at, claim, creating, event, placed, pod, seen, unscheduled

NO_CLASS = event("ProvisioningFailed", 'storageclass.storage.k8s.io "quick" not found', uid=CLAIM_UID)
NO_VOLUME = event(
    "FailedBinding",
    "no persistent volumes available for this claim and no storage class is set",
    uid=CLAIM_UID,
    second=2,
)
FAILED = event("ProvisioningFailed", "rpc error: disk quota exceeded", uid=CLAIM_UID)
MISSING_CLAIM = unscheduled('0/3 nodes are available: persistentvolumeclaim "claim-jane" not found.')


def told(pod, claim, *events, second=5):
    diagnosis = diagnose(seen(pod, claim, *events, second=second))
    return diagnosis.stage, diagnosis.reason, diagnosis.fatal


def test_a_lost_claim_ends_the_start_and_names_claim_and_volume():
    lost = claim("Lost") | {"spec": {"volumeName": "pv-7"}}
    diagnosis = diagnose(seen(pod(phase="Pending"), lost))
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (Stage.STORAGE, Reason.CLAIM_LOST, True)
    assert "claim-jane" in diagnosis.sentence
    assert "pv-7" in diagnosis.detail


def test_a_terminating_claim_is_waited_for_and_its_finalizers_are_named():
    dying = claim("Bound", dying=True, finalizers=["kubernetes.io/pvc-protection"])
    diagnosis = diagnose(seen(None, dying))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.CLAIM_TERMINATING, False)
    assert "being deleted" in diagnosis.sentence
    assert "kubernetes.io/pvc-protection" in diagnosis.detail


def test_a_terminating_claim_does_not_hinder_the_pod_that_holds_it():
    assert told(creating(), claim("Bound", dying=True)) == (Stage.STARTING, None, False)


def test_a_running_server_is_told_whatever_its_claim_says():
    running = placed(phase="Running", podIP="10.0.0.1")
    running["status"]["containerStatuses"] = [{"name": "notebook", "ready": True, "state": {"running": {}}}]
    assert told(running, claim("Lost")) == (Stage.RUNNING, None, False)


def test_an_unknown_storage_class_ends_the_start_and_is_named():
    diagnosis = diagnose(seen(None, claim(), NO_CLASS))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.STORAGE_CLASS, True)
    assert '"quick"' in diagnosis.sentence


@pytest.mark.parametrize("complaint", [NO_CLASS, NO_VOLUME, FAILED], ids=["class", "volume", "failed"])
def test_an_old_complaint_about_a_claim_that_is_bound_by_now_is_ignored(complaint):
    assert told(None, claim("Bound"), complaint, second=90) == (Stage.REQUEST, None, False)


def test_a_claim_that_nothing_can_fill_is_given_60_seconds():
    assert told(None, claim(), NO_VOLUME, second=61.9) == (Stage.STORAGE, Reason.CLAIM_PENDING, False)
    assert told(None, claim(), NO_VOLUME, second=62) == (Stage.STORAGE, Reason.CLAIM_PENDING, True)


def old(complaint):
    """The complaint of an earlier start, ten minutes before this one."""
    return complaint | {"firstTimestamp": at(-1200), "lastTimestamp": at(-600)}


COMPLAINTS = pytest.mark.parametrize(
    "complaint", [NO_CLASS, NO_VOLUME, FAILED], ids=["class", "volume", "failed"]
)


@COMPLAINTS
@pytest.mark.parametrize("reason", ["Provisioning", "ExternalProvisioning"])
def test_an_old_complaint_about_a_claim_that_is_being_made_is_ignored(complaint, reason):
    working = event(reason, "Waiting for a volume to be created", uid=CLAIM_UID)
    diagnosis = diagnose(seen(None, claim(), old(complaint), working, second=290))
    assert (diagnosis.sentence, diagnosis.fatal) == ("Your home volume is being prepared.", False)


@COMPLAINTS
def test_an_old_complaint_about_a_claim_that_waits_for_its_pod_is_ignored(complaint):
    waits = event("WaitForFirstConsumer", "waiting for first consumer to be created", uid=CLAIM_UID)
    assert told(None, claim(), old(complaint), waits, second=290) == (Stage.REQUEST, None, False)


def test_an_old_complaint_about_a_storage_class_is_given_20_seconds():
    """An administrator may have made the class since; the cluster has not looked again."""
    first = diagnose(seen(None, claim(), old(NO_CLASS), second=19.9))
    assert (first.reason, first.fatal) == (Reason.STORAGE_CLASS, False)
    assert 'storage class "quick"' in first.sentence
    assert told(None, claim(), old(NO_CLASS), second=20) == (Stage.STORAGE, Reason.STORAGE_CLASS, True)
    assert told(None, claim(), old(NO_CLASS) | {"lastTimestamp": at(3)}, second=4)[2]


def test_an_old_complaint_that_comes_after_the_good_news_stands():
    news = event("ExternalProvisioning", uid=CLAIM_UID) | {"lastTimestamp": at(-700)}
    assert told(None, claim(), old(NO_CLASS), news, second=20)[1:] == (Reason.STORAGE_CLASS, True)


def test_a_storage_system_that_fails_is_told_although_the_cluster_waits_for_it():
    """The cluster repeats every 15 s that it waits, and the provisioner that it tries."""
    failed = event("ProvisioningFailed", "rpc error: no space", uid=CLAIM_UID, second=5)
    waits = event("ExternalProvisioning", "Waiting for a volume", uid=CLAIM_UID, lastTimestamp=at(60))
    tries = event("Provisioning", "External provisioner is provisioning", uid=CLAIM_UID, second=50)
    diagnosis = diagnose(seen(None, claim(), failed, waits, tries, second=61))
    assert diagnosis.sentence == "The storage system could not create your home volume. It is trying again."


def test_a_storage_system_that_fails_is_told_until_the_deadline():
    failed = event("ProvisioningFailed", "rpc error: disk quota exceeded", uid=CLAIM_UID)
    diagnosis = diagnose(
        seen(unscheduled("pod has unbound immediate PersistentVolumeClaims"), claim(), failed)
    )
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.CLAIM_PENDING, False)
    assert diagnosis.sentence == "The storage system could not create your home volume. It is trying again."
    assert "disk quota exceeded" in diagnosis.detail


def test_a_missing_claim_is_given_10_seconds_because_the_scheduler_may_not_have_heard_of_it():
    assert told(MISSING_CLAIM, None, second=10.9) == (Stage.STORAGE, Reason.CLAIM_MISSING, False)
    assert told(MISSING_CLAIM, None, second=11) == (Stage.STORAGE, Reason.CLAIM_MISSING, True)


def test_a_claim_that_only_the_scheduler_does_not_know_is_not_missing():
    assert told(MISSING_CLAIM, claim("Bound"), second=60)[1] is not Reason.CLAIM_MISSING


def test_another_missing_claim_is_named_although_the_home_is_there():
    missing = unscheduled('0/3 nodes are available: persistentvolumeclaim "shared" not found.')
    diagnosis = diagnose(seen(missing, claim("Bound"), second=60))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.CLAIM_MISSING, True)
    assert '"shared"' in diagnosis.sentence


@pytest.mark.parametrize(
    "pending",
    [None, unscheduled("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.")],
    ids=["no-pod", "unbound"],
)
def test_a_volume_that_is_being_made_is_a_stage_of_its_own(pending):
    working = event("Provisioning", "External provisioner is provisioning volume", uid=CLAIM_UID)
    for events in ((), (working,)):
        diagnosis = diagnose(seen(pending, claim(), *events))
        assert (diagnosis.stage, diagnosis.sentence) == (Stage.STORAGE, "Your home volume is being prepared.")
    assert diagnosis.detail == (
        "claim hub/claim-jane is Pending: External provisioner is provisioning volume"
    )


def test_a_claim_of_which_nothing_is_heard_is_pending_without_more_words():
    assert diagnose(seen(None, claim())).detail == "claim hub/claim-jane is Pending"


def test_a_claim_of_which_nothing_is_heard_does_not_hide_what_the_pod_waits_for():
    assert told(pod(phase="Pending"), claim()) == (Stage.SCHEDULING, None, False)


def test_a_claim_that_waits_for_its_first_pod_is_no_trouble():
    waits = event("WaitForFirstConsumer", "waiting for first consumer to be created", uid=CLAIM_UID)
    assert told(pod(phase="Pending"), claim(), waits) == (Stage.SCHEDULING, None, False)
    assert told(None, claim(), waits) == (Stage.REQUEST, None, False)


def test_a_claim_whose_first_pod_has_come_is_being_made():
    waits = event("WaitForFirstConsumer", "waiting for first consumer to be created", uid=CLAIM_UID)
    made = event("ExternalProvisioning", "Waiting for a volume to be created", uid=CLAIM_UID, second=2)
    assert told(pod(phase="Pending"), claim(), waits, made) == (Stage.STORAGE, Reason.CLAIM_PENDING, False)


def test_a_disk_that_is_attached_elsewhere_is_told():
    attached = event("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already used')
    diagnosis = diagnose(seen(creating(), claim("Bound"), attached, second=31))
    assert diagnosis.reason is Reason.MOUNT
    assert "still attached to another machine" in diagnosis.sentence


@pytest.mark.parametrize("further", ["SuccessfulAttachVolume", "Pulling", "Pulled", "Created", "Started"])
def test_a_disk_that_was_attached_since_is_no_trouble_any_more(further):
    attached = event("FailedAttachVolume", "Multi-Attach error", second=2)
    assert told(creating(), None, attached, event(further, second=3))[1] is None


def attach(verdict, volume, second):
    reason = "SuccessfulAttachVolume" if verdict == "succeeded" else "FailedAttachVolume"
    words = f'Multi-Attach error for volume "{volume}" Volume is already used by pod(s) jupyter-other'
    if verdict == "succeeded":
        words = f'AttachVolume.Attach succeeded for volume "{volume}"'
    return event(reason, words, second=second)


class TestTwoDisks:
    STUCK = attach("failed", "pv-home", 5)

    def test_of_which_one_is_attached_leave_the_other_stuck(self):
        """The controller says it once."""
        diagnosis = diagnose(
            seen(creating(), claim("Bound"), self.STUCK, attach("succeeded", "pv-data", 12), second=100)
        )
        assert diagnosis.reason is Reason.MOUNT
        assert "still attached to another machine" in diagnosis.sentence

    def test_are_no_trouble_once_the_stuck_one_is_attached_too(self):
        events = (self.STUCK, attach("succeeded", "pv-data", 12), attach("succeeded", "pv-home", 40))
        assert told(creating(), claim("Bound"), *events, second=100)[1] is None

    def test_may_be_stuck_in_turn(self):
        events = (self.STUCK, attach("failed", "pv-data", 6), attach("succeeded", "pv-home", 12))
        diagnosis = diagnose(seen(creating(), claim("Bound"), *events, second=100))
        assert diagnosis.reason is Reason.MOUNT
        assert "pv-data" in diagnosis.detail

    def test_are_told_apart_by_their_volumes(self):
        home, scratch = claim("Bound"), extra("Bound")
        home["spec"]["volumeName"], scratch["spec"]["volumeName"] = "pv-home", "pv-scratch"
        stuck = told_of(creating(), [home, scratch], attach("failed", "pv-scratch", 5))
        assert stuck.sentence.startswith('The disk of your volume "scratch" is still attached')
        stuck = told_of(creating(), [scratch, home], attach("failed", "pv-home", 5))
        assert stuck.sentence.startswith("The disk of your home volume is still attached")

    def test_of_which_one_is_not_the_hubs_are_not_told_as_the_home(self):
        mounted = creating()
        mounted["spec"]["volumes"] = [
            {"persistentVolumeClaim": {"claimName": name}} for name in ("claim-jane", "data")
        ]
        stuck = diagnose(seen(mounted, claim("Bound"), self.STUCK))
        assert stuck.sentence.startswith("The disk of a volume of your server is still attached")

    def test_a_mount_that_fails_is_not_solved_by_another_disk(self):
        failed = event(
            "FailedMount", 'MountVolume.MountDevice failed for volume "pv-home" : rpc error', second=5
        )
        assert told(creating(), None, failed, attach("succeeded", "pv-data", 12))[1] is Reason.MOUNT


@pytest.mark.parametrize(
    "words",
    [
        'Multi-Attach error for volume "pv-1" Volume is already exclusively attached to one node and can\'t be attached to another',
        'AttachVolume.Attach failed for volume "pv-1" : rpc error: VolumeInUse: vol-0 is already attached to an instance',
        'AttachVolume.Attach failed for volume "pv-1" : googleapi: Error 400: RESOURCE_IN_USE_BY_ANOTHER_RESOURCE',
        'AttachVolume.Attach failed for volume "pv-1" : disk(d) already attached to node(n-2), could not be attached to node(n-1)',
        'AttachVolume.Attach failed for volume "pv-1" : The disk resource is already being used by another instance',
        'AttachVolume.Attach failed for volume "pv-1" : rpc error: the volume is currently attached to different node n-4',
        'Failed to attach disk: "7feae4b8" with node: "vm-2" err The resource \'volume\' is in use.',
        "Invalid volume: volume '09c6' status must be 'available'. Currently in 'in-use'",
        "rpc error: code = FailedPrecondition desc = volume 7 is attached to another instance",
        "rpc error: code = Internal desc = Volume pv-1 is already attached to node n-2",
    ],
    ids=[
        "controller",
        "ebs",
        "gce",
        "azure",
        "in use",
        "longhorn",
        "vsphere",
        "cinder",
        "another instance",
        "node",
    ],
)
def test_a_disk_that_another_machine_has_is_told_whoever_says_so(words):
    assert (
        "still attached to another machine"
        in diagnose(seen(creating(), None, event("FailedAttachVolume", words))).sentence
    )


ATTACH = 'AttachVolume.Attach failed for volume "pv-1" : '
MOUNT = 'MountVolume.MountDevice failed for volume "pv-1" : '
LATE = "Unable to attach or mount volumes: unmounted volumes=[home], unattached volumes=[]: timed out"


def test_an_image_of_ceph_that_another_machine_has_is_told_only_when_it_is_mounted():
    words = f"{MOUNT}rpc error: code = Internal desc = rbd image pool/csi-vol-1 is still being used"
    late = event("FailedMount", LATE, second=125)
    diagnosis = diagnose(seen(creating(), claim("Bound"), event("FailedMount", words), late, second=126))
    assert "still attached to another machine" in diagnosis.sentence
    assert diagnosis.detail == words


@pytest.mark.parametrize(
    "words",
    [
        "rpc error: code = ResourceExhausted desc = max number of volumes (8) already attached to instance",
        'rpc error: code = ResourceExhausted desc = Attachment limit exceeded for volume "vol-1" on node "i-1"',
        "api error AttachmentLimitExceeded: You may attach up to 27 devices for this instance type.",
        "The maximum number of data disks allowed to be attached to a VM of this size is 4.",
        "googleapi: Error 400: exceeded limit 'maximum_persistent_disks' on resource 'vm'",
    ],
    ids=["linode", "ebs", "ec2", "azure", "gce"],
)
def test_a_machine_that_takes_no_further_disk_is_told_whoever_says_so(words):
    first = diagnose(seen(creating(), claim("Bound"), event("FailedAttachVolume", ATTACH + words)))
    assert (first.reason, first.fatal) == (Reason.MOUNT, False)
    assert first.sentence.startswith("The machine of your server cannot take one more disk.")
    assert "Start it again" in at_deadline(first, timedelta(minutes=5)).sentence


@pytest.mark.parametrize(
    "words",
    [
        "rpc error: code = ResourceExhausted desc = rate limit of the API reached",
        "rpc error: code = ResourceExhausted desc = too many requests, volume attachments are throttled",
    ],
)
def test_a_storage_system_that_wants_fewer_requests_has_room(words):
    told = diagnose(seen(creating(), claim("Bound"), event("FailedAttachVolume", ATTACH + words)))
    assert told.sentence.startswith("The machine could not connect a volume")


@pytest.mark.parametrize(
    "words",
    [
        "rpc error: code = Internal desc = Could not get volume: InvalidVolume.NotFound: The volume 'vol-0' does not exist",
        'HTTPStatusCode: 404, RawError: {"error": {"code": "NotFound", "message": "Disk d is not found."}}',
        "rpc error: code = NotFound desc = status code '404 Not Found', content: 'Volume \\'42\\' not found'",
        "googleapi: Error 404: The resource 'projects/p/zones/z/disks/d' was not found, notFound",
        "rpc error: code = NotFound desc = Volume not found",
        "rpc error: code = NotFound desc = volume pv-1 does not exist",
        "rpc error: code = Internal desc = RBD image not found",
    ],
    ids=["ebs", "azure", "mayastor", "gce", "csi", "csi, does not exist", "ceph"],
)
def test_a_disk_that_the_storage_system_does_not_find_is_told(words):
    diagnosis = diagnose(seen(creating(), claim("Bound"), event("FailedAttachVolume", ATTACH + words)))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.CLAIM_LOST, False)
    assert diagnosis.sentence == (
        "The storage system does not find the disk of your home volume. It is trying again."
    )
    failed = at_deadline(diagnosis, timedelta(minutes=5)).sentence
    assert failed.endswith("within 5 min. Contact your administrator.")


@pytest.mark.parametrize(
    "words",
    [
        'rpc error: code = NotFound desc = Instance "i-1" of volume "vol-1" not found',
        "rpc error: code = NotFound desc = node n-1 not found",
        "rpc error: code = NotFound desc = volume attachment not found",
        "rpc error: code = NotFound desc = device /dev/disk/by-id/virtio-1 not found",
        "driver name disk.csi.azure.com not found in the list of registered CSI drivers",
    ],
)
def test_what_else_is_not_found_is_not_the_disk(words):
    told = diagnose(seen(creating(), claim("Bound"), event("FailedAttachVolume", ATTACH + words)))
    assert told.reason is Reason.MOUNT


@pytest.mark.parametrize(
    "words",
    [
        "'fsck' found errors on device /dev/sda but could not correct them: fsck from util-linux 2.23.2",
        "mount failed: exit status 32 output: mount: /x/globalmount: can't read superblock on /dev/sdi",
        "applyFSGroup failed for vol d: lstat /x/mount/.gsutil: input/output error",
        "mount failed: mount: /x: mount(2) system call failed: Structure needs cleaning.",
    ],
)
def test_a_disk_that_cannot_be_read_is_the_administrators_matter(words):
    diagnosis = diagnose(seen(creating(), claim("Bound"), event("FailedMount", MOUNT + words)))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.MOUNT, False)
    assert diagnosis.sentence == "The machine cannot read the disk of your home volume. It is trying again."
    failed = at_deadline(diagnosis, timedelta(minutes=5)).sentence
    assert failed.endswith("within 5 min. Contact your administrator.")


def test_what_mount_says_of_any_failure_is_no_damage():
    words = "mount: /x: wrong fs type, bad option, bad superblock on 10.0.0.1:/x, missing codepage or helper program"
    told = diagnose(seen(creating(), claim("Bound"), event("FailedMount", MOUNT + words)))
    assert told.sentence.startswith("The machine could not connect a volume")


OWNER = "Setting volume ownership for 3e/volumes/kubernetes.io~csi/pv-scratch/mount"


class TestManyFiles:
    BEGIN = event(
        "VolumePermissionChangeInProgress",
        f"{OWNER} is taking longer than expected, consider using",
        second=33,
    )
    LATER = event("VolumePermissionChangeInProgress", f"{OWNER}, processed 300000 files", second=93)
    LATE = event("FailedMount", LATE, second=125)

    @pytest.mark.parametrize("events", [(BEGIN,), (BEGIN, LATER), (LATER, LATE)])
    def test_get_their_permissions_for_a_while(self, events):
        diagnosis = diagnose(seen(creating(), claim("Bound"), *events, second=126))
        assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (Stage.STORAGE, Reason.MOUNT, False)
        assert diagnosis.sentence == (
            "The cluster sets the permissions of the files in your home volume, which takes long with many files."
        )
        assert "ownership" in diagnosis.detail

    def test_may_be_of_another_volume(self):
        home, scratch = claim("Bound"), extra("Bound")
        home["spec"]["volumeName"], scratch["spec"]["volumeName"] = "pv-home", "pv-scratch"
        assert 'files in your volume "scratch",' in told_of(creating(), [home, scratch], self.BEGIN).sentence
        assert 'files in your volume "scratch",' in told_of(creating(), [scratch, home], self.BEGIN).sentence

    def test_are_no_matter_once_the_mount_fails_or_succeeds(self):
        failed = event("FailedMount", f"{MOUNT}access denied by server", second=130)
        diagnosis = diagnose(seen(creating(), claim("Bound"), self.LATER, failed, self.LATE, second=131))
        assert diagnosis.sentence.startswith("The machine could not connect a volume")
        assert told(creating(), claim("Bound"), self.LATER, event("Pulled", second=99), second=100)[1] is None


def test_the_administrator_reads_why_a_mount_fails_and_not_that_it_is_late():
    failed = event("FailedMount", f"{MOUNT}mount.nfs: Connection timed out", second=5)
    late = event("FailedMount", LATE, second=125)
    assert "mount.nfs" in diagnose(seen(creating(), claim("Bound"), failed, late, second=126)).detail
    assert diagnose(seen(creating(), claim("Bound"), late, second=126)).detail == LATE


@pytest.mark.parametrize("why", ["storageClassName does not match", "requested PV is too small"])
def test_a_claim_that_does_not_fit_its_disk_is_the_administrators_matter(why):
    misfit = event("VolumeMismatch", f'Cannot bind to requested volume "pg": {why}', uid=CLAIM_UID)
    named = claim()
    named["spec"]["volumeName"] = "pg"
    waits = unscheduled("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
    diagnosis = diagnose(seen(waits, named, misfit))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.CLAIM_PENDING, False)
    assert diagnosis.sentence == 'Your home volume does not fit the disk that its settings name ("pg").'
    assert why in diagnosis.detail
    assert at_deadline(diagnosis, timedelta(minutes=5)).sentence.endswith("Contact your administrator.")
    assert told(waits, claim("Bound"), misfit)[1] is not None
    assert "fit" not in diagnose(seen(waits, claim("Bound"), misfit)).sentence


def test_a_mount_that_fails_is_told():
    failed = event("FailedMount", "Unable to attach or mount volumes: timed out waiting for the condition")
    assert told(creating(), None, failed) == (Stage.STORAGE, Reason.MOUNT, False)


def test_a_volume_from_a_secret_of_this_start_is_no_trouble():
    failed = event("FailedMount", 'MountVolume.SetUp failed for volume "x" : secret "certificates" not found')
    other = event("FailedMount", 'MountVolume.SetUp failed for volume "x" : secret "settings" not found')
    mounting = seen(creating(), None, failed, second=60)
    assert diagnose(mounting).fatal
    created = {"created_secrets": {"certificates"}}
    assert diagnose(replace(mounting, **created)).reason is None
    assert diagnose(replace(seen(creating(), None, other, second=60), **created)).fatal


@pytest.mark.parametrize("kind", ["secret", "configmap"])
def test_a_volume_from_an_object_that_is_missing_is_given_10_seconds(kind):
    words = f'MountVolume.SetUp failed for volume "x" : {kind} "settings" not found'
    failed = event("FailedMount", words, lastTimestamp=at(11))
    assert told(creating(), None, failed, second=10.9) == (Stage.STARTING, Reason.CONFIG_MISSING, False)
    diagnosis = diagnose(seen(creating(), None, failed, second=11))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.CONFIG_MISSING, True)
    assert f'{kind} "settings"' in diagnosis.sentence


@pytest.mark.parametrize("last", [1, 8, 10])
def test_an_object_that_the_machine_has_not_looked_for_again_may_be_there_by_now(last):
    """The kubelet waits 8 s before it looks a sixth time; some say only once what they miss."""
    words = 'MountVolume.SetUp failed for volume "x" : secret "settings" not found'
    failed = event("FailedMount", words, lastTimestamp=at(last))
    assert told(creating(), None, failed, second=30.9) == (Stage.STARTING, Reason.CONFIG_MISSING, False)
    assert told(creating(), None, failed, second=31) == (Stage.STARTING, Reason.CONFIG_MISSING, True)


@pytest.mark.parametrize(
    "words,named",
    [
        (
            'MountVolume.SetUp failed for volume "files" : references non-existent config key: motd.txt',
            'key "motd.txt" in the ConfigMap of its volume "files"',
        ),
        (
            'MountVolume.SetUp failed for volume "keys" : references non-existent secret key: id_rsa',
            'key "id_rsa" in the Secret of its volume "keys"',
        ),
        (
            'MountVolume.SetUp failed for volume "all" : [configmap references non-existent config key: a.txt, x]',
            'key "a.txt" in the ConfigMap of its volume "all"',
        ),
        ('MountVolume.SetUp failed for volume "x" : secrets "aws" not found', 'secret "aws"'),
    ],
    ids=["config map", "secret", "projected", "plural"],
)
def test_a_key_that_a_volume_names_and_nobody_has_made_ends_the_start(words, named):
    failed = event("FailedMount", words, second=10, lastTimestamp=at(95))
    assert told(creating(), None, failed, second=19.9) == (Stage.STARTING, Reason.CONFIG_MISSING, False)
    diagnosis = diagnose(seen(creating(), None, failed, second=20))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.CONFIG_MISSING, True)
    assert f"A part of your server's configuration does not exist: {named}." in diagnosis.sentence


def test_what_is_missing_is_told_although_something_else_was_said_since():
    words = 'MountVolume.SetUp failed for volume "x" : secret "aws" not found'
    failed = event("FailedMount", words, second=5, lastTimestamp=at(21))
    later = event("FailedMount", "Unable to attach or mount volumes: timed out", second=30)
    assert told(creating(), None, failed, later, second=31) == (Stage.STARTING, Reason.CONFIG_MISSING, True)


# Claims besides the home


def extra(phase="Pending", uid="33333333-extra", **more):
    return claim(
        phase, name="scratch--jane", uid=uid, annotations={"hub.jupyter.org/extra-claim": "scratch"}, **more
    )


def told_of(pod, claims, *events, second=5):
    observation = seen(pod, claims[0], *events, second=second)
    return diagnose(replace(observation, other_claims=claims[1:]))


def of_extra(event):
    return event | {"involvedObject": {"uid": "33333333-extra"}}


@pytest.mark.parametrize(
    "phase, dying, complaint, begin",
    [
        ("Pending", False, NO_CLASS, 'Your volume "scratch" could not be created'),
        ("Pending", False, NO_VOLUME, 'Your volume "scratch" has no disk yet.'),
        ("Pending", False, FAILED, 'The storage system could not create your volume "scratch"'),
        ("Pending", False, event("Provisioning", uid=CLAIM_UID), 'Your volume "scratch" is being prepared.'),
        ("Bound", True, None, 'Your volume "scratch" (scratch--jane) is being deleted.'),
        ("Lost", False, None, 'The disk of your volume "scratch" (scratch--jane) no longer exists.'),
    ],
)
def test_of_several_claims_the_one_in_trouble_is_named(phase, dying, complaint, begin):
    events = [] if complaint is None else [of_extra(complaint)]
    for claims in ([claim("Bound"), extra(phase, dying=dying)], [extra(phase, dying=dying), claim("Bound")]):
        assert told_of(None, claims, *events).sentence.startswith(begin)


def test_what_ends_the_start_goes_before_what_delays_it_whichever_claim_it_is():
    claims = [claim("Pending"), extra("Lost")]
    assert told_of(None, claims, FAILED).fatal


def test_a_claim_that_is_known_is_not_missing_whichever_it_is():
    missing = unscheduled('0/3 nodes are available: persistentvolumeclaim "scratch--jane" not found.')
    assert told_of(missing, [claim("Bound"), extra("Bound")]).reason is not Reason.CLAIM_MISSING
    assert told_of(missing, [claim("Bound")]).reason is Reason.CLAIM_MISSING


def test_the_disk_that_is_still_attached_may_be_any_of_several():
    attached = event("FailedAttachVolume", "Multi-Attach error for volume")
    alone = told_of(creating(), [claim("Bound")], attached)
    assert alone.sentence.startswith("The disk of your home volume is")
    several = told_of(creating(), [claim("Bound"), extra("Bound")], attached)
    assert several.sentence.startswith("The disk of a volume of your server is")


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("1 node(s) had volume node affinity conflict", "in the zone of a volume of your server, because"),
        (
            "1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode already in-use",
            "A volume of your server is still in use by another server.",
        ),
    ],
)
def test_an_obstacle_may_be_about_any_of_several(words, sentence):
    pod = unscheduled(f"0/1 nodes are available: {words}.")
    assert sentence in told_of(pod, [claim("Bound"), extra("Bound")]).sentence
    assert sentence not in told_of(pod, [claim("Bound")]).sentence
