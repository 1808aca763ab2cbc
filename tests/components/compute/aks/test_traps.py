"""What goes wrong on AKS where nobody thinks of it, each with the test that is red when it happens."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[3]
_REACH = "components/compute/aks/test_reach.py"
_ACCESS = "components/azure/test_cluster_access.py"
_CLUSTER = "components/compute/aks/test_cluster.py"
_OBJECTS = "components/compute/aks/test_objects.py"
_DRAINS = "components/compute/aks/test_drains.py"
_AZURE = "components/azure/test_aks_cluster.py"
_GATEWAY = "runtime/gateway/test_gateway_in_cluster.py"
_ALERTS = "runtime/service/test_alerts.py"
_OF_CLUSTER = "components/mlflow/observability/test_cluster_alerts.py"

TRAPS: Mapping[str, tuple[str, str]] = {
    "a kubeconfig that a preview does not know replaces every object": (
        _REACH,
        "test_a_cluster_is_reached_by_the_caller_and_looked_for_in_each_preview",
    ),
    "a recreated cluster of the same name goes unnoticed": (
        _ACCESS,
        "test_a_preview_asks_the_cluster_and_a_recreated_one_is_another",
    ),
    "a preview that does not reach the cluster says nothing": (
        _ACCESS,
        "test_a_cluster_that_is_out_of_reach_says_where_to_run",
    ),
    "a right is honoured minutes after it was granted": (
        _ACCESS,
        "test_a_right_that_azure_honours_late_is_waited_for",
    ),
    "the token of a workflow ends after five minutes": (
        "delivery/test_federation.py",
        "test_a_token_of_five_minutes_lasts_for_an_update_of_twenty",
    ),
    "the scaler's replicas are drift": (_CLUSTER, "test_a_life"),
    "a security group cuts an overlay in pieces": (
        "components/azure/test_network.py",
        "test_a_cluster_whose_pods_have_addresses_of_their_own_works_behind_its_groups",
    ),
    "pods that serve until the end of a move lose the data at its beginning": (
        "infra/test_reach.py",
        "test_what_must_be_reached_is_let_through_and_nothing_else",
    ),
    "what gets other names is created a second time beside itself": (
        "infra/test_cluster.py",
        "test_a_stack_in_a_cluster_of_another_owner_has_the_names_that_it_has",
    ),
    "what has one name in two clusters is changed where it is not": (
        "infra/test_cluster.py",
        "test_what_is_in_a_cluster_of_another_owner_is_created_again_in_another_one_or_namespace",
    ),
    "a subnet that is left out moves the others": (
        "components/azure/test_network_plan.py",
        "test_a_subnet_that_is_left_out_moves_no_other",
    ),
    "the gateway prefers a dead address of several": (
        "components/compute/test_same_services_everywhere.py",
        "test_a_cluster_leads_to_ready_pods_by_itself",
    ),
    "a gateway ends before the balancer knows": (
        _GATEWAY,
        "test_a_gateway_that_stops_behind_the_balancer_fails_no_request",
    ),
    "a connection that is kept pins one pod": (
        _GATEWAY,
        "test_two_pods_behind_one_address_share_and_a_killed_one_costs_no_error",
    ),
    "a job fails without a reason": (_CLUSTER, "test_a_failing_prepare_stops_before_any_service_changes"),
    "the reason of a job stays in its log": (
        _OBJECTS,
        "test_a_job_has_the_name_of_its_digest_and_tells_why_it_failed",
    ),
    "a job that removes itself is drift": (
        _OBJECTS,
        "test_a_job_has_the_name_of_its_digest_and_tells_why_it_failed",
    ),
    "a budget holds an upgrade up": (_DRAINS, "test_a_pod_that_is_never_ready_holds_no_drain_up"),
    "federated credentials at the same time are refused": (
        "components/azure/test_identity.py",
        "test_max_takes_each_environment_and_writes_one_after_the_other",
    ),
    "Entra takes no token as an assertion that was exchanged for another": (
        "runtime/middleware/access/test_browser_sign_in.py",
        "test_a_pod_proves_itself_by_its_account_and_not_by_a_token_that_was_exchanged_for_it",
    ),
    "the audit log of every read is most of the bill": (_AZURE, "test_the_log_of_every_read_is_not_paid_for"),
    "an alert on a service that is gone is silent": (
        _ALERTS,
        "test_an_alert_fires_over_what_processes_write_in_its_fault",
    ),
    "a full spool disk writes no line, and the pod is evicted": (
        _OF_CLUSTER,
        "test_an_alert_fires_in_its_fault_and_not_in_what_only_looks_like_it",
    ),
    "a spool that is fuller than its volume may be ends the pod": (
        "runtime/artifacts/test_spool.py",
        "test_a_file_has_its_room_before_its_first_byte",
    ),
    "a line above 16 KiB is split": (_ALERTS, "test_no_line_of_metrics_is_split_on_its_way_from_a_cluster"),
    "a version of its own sets a pool back": (_AZURE, "test_pools_follow_the_clusters_version_and_size_themselves"),
    "nodes of the system keep a gateway from every other node": (
        _DRAINS,
        "test_nodes_that_take_no_gateway_keep_none_from_the_others",
    ),
    "an update of a cluster sets its pools back": ("delivery/offline_azure/test_clusters.py", "test_a_life"),
    "another size of nodes ends all of a pool's pods": (
        "components/azure/test_aks_pool_settings.py",
        "test_what_aks_does_not_do_in_place_is_refused_with_the_way_to_it",
    ),
    "two API servers have no room in one subnet": (
        "components/azure/test_network_plan.py",
        "test_aks_finds_its_place_in_the_same_24_and_moves_nothing",
    ),
    "a kubeconfig in the state holds a secret": (_ACCESS, "test_a_kubeconfig_has_a_command_and_no_credential"),
    "a selector cannot be changed": (_OBJECTS, "test_a_selector_names_the_workload_alone"),
    "the status of the previous revision passes for the new one's": (
        _CLUSTER,
        "test_a_revision_that_is_never_ready_stops_and_says_why",
    ),
    "a revision that is never ready takes the previous one down": (
        _CLUSTER,
        "test_a_revision_that_is_never_ready_stops_and_says_why",
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_has_its_test(trap: str) -> None:
    file, name = TRAPS[trap]
    tree = ast.parse((TESTS / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file} has no {name}"
