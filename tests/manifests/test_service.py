from k8s_hub.manifests.service import ServiceInputs, build_service


def test_a_service_leads_to_the_port_of_the_chosen_pod():
    service = build_service(
        ServiceInputs(name="s", port=8888, selector={"a": "b"}, labels={"c": "d"}, annotations={"e": "f"})
    )
    assert service == {
        "kind": "Service",
        "metadata": {"name": "s", "labels": {"c": "d"}, "annotations": {"e": "f"}},
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "http", "port": 8888, "targetPort": 8888}],
            "selector": {"a": "b"},
        },
    }
