from k8s_hub.claims.lookup import ListedClaims, username_of, usernames_of
from k8s_hub.objects.keys import Key
from tests.claims.objects import claim

HOME = claim("claim-ada", "ada")
PLAIN = claim("prepared")


def test_claims_are_found_by_key_and_by_user():
    claims = ListedClaims([HOME, PLAIN])
    assert claims.get(Key("jhub", "prepared")) is PLAIN
    assert claims.find("ada") == (HOME,)


def test_what_is_not_there_is_not_found():
    claims = ListedClaims([HOME])
    assert claims.get(Key("other", "claim-ada")) is None
    assert claims.find("bob") == ()


def test_a_claim_without_annotation_is_nobodys():
    assert username_of(PLAIN) is None
    assert usernames_of(PLAIN) == ()
    assert usernames_of(HOME) == ("ada",)
