"""Alert rules: over the lines in a Log Analytics workspace, and over a metric of a resource.

Sources, Microsoft Learn: "Log search alert rules", "Types of Azure Monitor alerts".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import monitor

_SINGLE_RESOURCE = "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
_STATIC_THRESHOLD = "StaticThresholdCriterion"


@dataclass(frozen=True, kw_only=True)
class QueryRule:
    """Fires when `query` gives a row within `window` (ISO 8601). Severity 0 is critical, 4 is verbose.

    `title` says what is wrong and `what_to_do` what the person on call does first.

    `lines` is the KQL that gives the log lines in question, and `fires` goes on from them to the rows that are too
    much; without it, any line is too much.
    """

    name: str
    title: str
    severity: int
    lines: str
    what_to_do: str
    fires: str = ""
    window: str = "PT5M"

    @property
    def query(self) -> str:
        """What the alert asks for."""
        return f"{self.lines} | {self.fires}" if self.fires else self.lines


@dataclass(frozen=True, kw_only=True)
class MetricRule:
    """Fires when the average of `metric` over a quarter of an hour is above `threshold`."""

    name: str
    title: str
    severity: int
    metric: str
    threshold: float
    what_to_do: str


@dataclass(frozen=True, kw_only=True)
class AlertPlace:
    """Where rules are created and who gets their alerts; `prefix` begins the name of each."""

    prefix: str
    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    action_group_id: pulumi.Input[str]


def query_alert(
    name: str, rule: QueryRule, *, place: AlertPlace, workspace_id: pulumi.Input[str], parent: pulumi.Resource
) -> monitor.ScheduledQueryRule:
    """Create the alert of a rule, asked every five minutes; its Pulumi name is `name` and the rule's."""
    return monitor.ScheduledQueryRule(
        f"{name}-{rule.name}",
        rule_name=f"{place.prefix}-{rule.name}",
        display_name=rule.title,
        description=rule.what_to_do,
        location=place.location,
        resource_group_name=place.resource_group_name,
        tags=place.tags,
        enabled=True,
        severity=rule.severity,
        scopes=[workspace_id],
        evaluation_frequency="PT5M",
        window_size=rule.window,
        auto_mitigate=True,
        # Tables exist only once their first log has arrived.
        skip_query_validation=True,
        criteria=monitor.ScheduledQueryRuleCriteriaArgs(
            all_of=[
                monitor.ConditionArgs(
                    query=rule.query,
                    time_aggregation=monitor.TimeAggregation.COUNT,
                    # ConditionOperator is of another API: its values ("gt") do not fit a query rule.
                    operator=monitor.Operator.GREATER_THAN.value,
                    threshold=0,
                    failing_periods=monitor.ConditionFailingPeriodsArgs(
                        number_of_evaluation_periods=1, min_failing_periods_to_alert=1
                    ),
                )
            ]
        ),
        actions=monitor.ActionsArgs(action_groups=[place.action_group_id]),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def metric_alert(
    name: str, rule: MetricRule, *, place: AlertPlace, target_id: pulumi.Input[str], parent: pulumi.Resource
) -> monitor.MetricAlert:
    """Create the alert of a rule on a resource, asked every five minutes; its Pulumi name is `name` and the rule's."""
    return monitor.MetricAlert(
        f"{name}-{rule.name}",
        rule_name=f"{place.prefix}-{rule.name}",
        description=f"{rule.title}. {rule.what_to_do}",
        location="global",
        resource_group_name=place.resource_group_name,
        tags=place.tags,
        enabled=True,
        severity=rule.severity,
        scopes=[target_id],
        evaluation_frequency="PT5M",
        window_size="PT15M",
        auto_mitigate=True,
        criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
            odata_type=_SINGLE_RESOURCE,
            all_of=[
                monitor.MetricCriteriaArgs(
                    criterion_type=_STATIC_THRESHOLD,
                    name=rule.name,
                    metric_name=rule.metric,
                    operator=monitor.Operator.GREATER_THAN,
                    threshold=rule.threshold,
                    time_aggregation=monitor.AggregationTypeEnum.AVERAGE,
                )
            ],
        ),
        actions=[monitor.MetricAlertActionArgs(action_group_id=place.action_group_id)],
        opts=pulumi.ResourceOptions(parent=parent),
    )
