from k8s_hub.claims.lookup import username_of, usernames_of
from tests.claims.objects import claim

HOME = claim("claim-ada", "ada")
PLAIN = claim("prepared")


def test_a_claim_is_filed_under_its_user():
    assert username_of(HOME) == "ada"
    assert usernames_of(HOME) == ("ada",)


def test_a_claim_without_annotation_is_nobodys():
    assert username_of(PLAIN) is None
    assert usernames_of(PLAIN) == ()
