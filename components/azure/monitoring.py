"""Where logs go and who is told what: workspace, action group, alerts, workbook, budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import applicationinsights, consumption, monitor, operationalinsights

from components.azure import diagnostics
from components.azure.lock import lock
from components.mlflow.observability import kql as panel_queries
from components.mlflow.observability import workbook
from components.mlflow.observability.alerts import DATABASE_ALERTS, QUERY_ALERTS, MetricRule, QueryRule, connections

_AUDIT = "Audit"  # the log category of queries
_RETENTION_DAYS = range(30, 731)
_SINGLE_RESOURCE = "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
_STATIC_THRESHOLD = "StaticThresholdCriterion"
_BUDGET_SHARES = (80, 100)


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """A month's costs of `scope` (a resource group's id) in the billing currency; `start` is a first of a month."""

    name: str
    scope: pulumi.Input[str]
    amount: float
    start: str

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError(f"BudgetArgs.amount: {self.amount:g}; allowed: above 0; give what a month may cost.")


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """`emails` are told of alerts and of the budget; without any, alerts fire and nobody is told. `protect` guards the
    workspace against deletion: its logs are all that is left to say what happened.

    Plain values decide on resources: `budget` whether there is one, `emails` and `retention_days` what is refused.
    Databases come later, with `watch_database`: the server's logs need this workspace first.
    """

    workspace_name: str
    action_group_name: str
    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    protect: bool = False
    emails: Sequence[str] = ()
    retention_days: int = 30
    budget: BudgetArgs | None = None

    def __post_init__(self) -> None:
        if self.retention_days not in _RETENTION_DAYS:
            raise ValueError(
                f"MonitoringArgs.retention_days: {self.retention_days}; allowed: 30 to 730; choose one of these."
            )
        if self.budget is not None and not self.emails:
            raise ValueError("MonitoringArgs.emails: none, with a budget; a budget needs somebody to tell; give one.")


class Monitoring(pulumi.ComponentResource):
    """A Log Analytics workspace with the alerts of the platform on it, and a workbook for the person on call.

    The workspace takes no shared key, only Entra identities, and logs into itself who asked it what. Alerts that query
    tables which do not exist before the first log arrives are not validated at creation.

        monitoring = Monitoring("monitoring", MonitoringArgs(
            workspace_name="log-mlflow-dev", action_group_name="ag-mlflow-dev", location="westeurope",
            resource_group_name=group.name, tags={}, emails=["oncall@example.com"],
        ))
        server = Postgres("mlflow-db", PostgresArgs(workspace_id=monitoring.workspace_id, ...))
        monitoring.watch_database(server.id, max_connections=50)

    Sources, Microsoft Learn: "Log Analytics workspace overview", "Log search alert rules", "Monitor Azure Database for
    PostgreSQL", "Tutorial: Create and manage budgets", "Audit queries in Azure Monitor Logs", "Azure Workbooks".
    """

    workspace_id: pulumi.Output[str]
    action_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:Monitoring", name, {}, opts)
        self._own_name, self._args = name, args
        child = pulumi.ResourceOptions(parent=self)
        self.workspace_id = operationalinsights.Workspace(
            f"{name}-workspace",
            workspace_name=args.workspace_name,
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            sku=operationalinsights.WorkspaceSkuArgs(name=operationalinsights.WorkspaceSkuNameEnum.PER_GB2018),
            retention_in_days=args.retention_days,
            features=operationalinsights.WorkspaceFeaturesArgs(
                disable_local_auth=True, enable_log_access_using_only_resource_permissions=True
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        ).id
        self.action_group_id = monitor.ActionGroup(
            f"{name}-on-call",
            action_group_name=args.action_group_name,
            group_short_name="mlflow",
            location="global",
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            enabled=True,
            email_receivers=[
                monitor.MicrosoftCommonEmailReceiverArgs(name=email, email_address=email, use_common_alert_schema=True)
                for email in args.emails
            ],
            opts=child,
        ).id
        audit = diagnostics.send(
            f"{name}-logs",
            target_id=self.workspace_id,
            workspace_id=self.workspace_id,
            parent=self,
            category_groups=(),
            categories=(_AUDIT,),
            metrics=(),
        )
        if args.protect:
            lock(f"{name}-lock", scope=self.workspace_id, parent=self, over=[audit])
        for rule in (*QUERY_ALERTS, *panel_queries.alerts()):
            self._query_alert(rule)
        self._workbook()
        if args.budget is not None:
            self._budget(args.budget)
        self.register_outputs({"workspace_id": self.workspace_id, "action_group_id": self.action_group_id})

    def watch_database(self, server_id: pulumi.Input[str], *, max_connections: int) -> None:
        """Alert on a PostgreSQL flexible server that runs out of the connections that its size has, or of storage."""
        for rule in (*DATABASE_ALERTS, connections(max_connections)):
            self._metric_alert(rule, server_id)

    def _query_alert(self, rule: QueryRule) -> None:
        args = self._args
        monitor.ScheduledQueryRule(
            f"{self._own_name}-{rule.name}",
            rule_name=f"{args.workspace_name}-{rule.name}",
            display_name=rule.title,
            description=rule.what_to_do,
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            enabled=True,
            severity=rule.severity,
            scopes=[self.workspace_id],
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
                        # ConditionOperator is of another API: its values ("gt") are none of a query rule's.
                        operator=monitor.Operator.GREATER_THAN.value,
                        threshold=0,
                        failing_periods=monitor.ConditionFailingPeriodsArgs(
                            number_of_evaluation_periods=1, min_failing_periods_to_alert=1
                        ),
                    )
                ]
            ),
            actions=monitor.ActionsArgs(action_groups=[self.action_group_id]),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _metric_alert(self, rule: MetricRule, target_id: pulumi.Input[str]) -> None:
        args = self._args
        monitor.MetricAlert(
            f"{self._own_name}-{rule.name}",
            rule_name=f"{args.workspace_name}-{rule.name}",
            description=f"{rule.title}. {rule.what_to_do}",
            location="global",
            resource_group_name=args.resource_group_name,
            tags=args.tags,
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
            actions=[monitor.MetricAlertActionArgs(action_group_id=self.action_group_id)],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _workbook(self) -> None:
        args = self._args
        applicationinsights.Workbook(
            f"{self._own_name}-workbook",
            resource_name_=self.workspace_id.apply(workbook.workbook_name),
            # The portal lists the workbooks of all stacks by this name.
            display_name=f"MLflow on call, {args.workspace_name}",
            description="What the alerts of MLflow look at, and what to do about each.",
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            kind=applicationinsights.WorkbookSharedTypeKind.SHARED,
            category="workbook",
            # Azure answers in lower case (azurerm refuses any other); else each preview would show a change.
            source_id=self.workspace_id.apply(str.lower),
            serialized_data=self.workspace_id.apply(workbook.document),
            version=workbook.VERSION,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _budget(self, budget: BudgetArgs) -> None:
        consumption.Budget(
            f"{self._own_name}-budget",
            budget_name=budget.name,
            scope=budget.scope,
            amount=budget.amount,
            category=consumption.CategoryType.COST,
            time_grain=consumption.TimeGrainType.MONTHLY,
            time_period=consumption.BudgetTimePeriodArgs(start_date=budget.start),
            notifications={
                f"actual-{share}": consumption.NotificationArgs(
                    enabled=True,
                    operator=consumption.OperatorType.GREATER_THAN_OR_EQUAL_TO,
                    threshold=share,
                    threshold_type=consumption.ThresholdType.ACTUAL,
                    contact_emails=list(self._args.emails),
                )
                for share in _BUDGET_SHARES
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
