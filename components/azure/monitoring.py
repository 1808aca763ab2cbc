"""Where logs go and who receives alerts: workspace, action group, alerts, workbook, budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pulumi
from pulumi_azure_native import consumption, monitor, operationalinsights

from components.azure import diagnostics
from components.azure.alert_rule import AlertPlace, MetricRule, QueryRule, metric_alert, query_alert
from components.azure.lock import lock
from components.azure.workbook import WorkbookContent, workbook

_AUDIT = "Audit"  # the log category of queries
_RETENTION_DAYS = range(30, 731)
_LONGEST_SENDER = 12  # Microsoft Learn, "Action groups": characters of a short name
_BUDGET_SHARES = (80, 100)


def first_of_month(now: datetime) -> str:
    """Return the first day of the month, as Azure takes and answers the start of a budget."""
    return f"{now:%Y-%m}-01T00:00:00Z"


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """A month's costs of `scope` (a resource group's id) in the billing currency.

    `name` is the beginning of the budget's name; the amount is its end. `start` is the first of a month, of this one by
    default: Azure creates no budget that starts earlier. It counts at the budget's creation and is ignored from there
    on, so nothing changes when the month does.
    """

    name: str
    scope: pulumi.Input[str]
    amount: float
    start: str = field(default_factory=lambda: first_of_month(datetime.now(UTC)))

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError(f"BudgetArgs.amount: {self.amount:g}; allowed: above 0; give what a month may cost.")


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """`emails` get the alerts and the budget's notices; without any, alerts fire unseen. `sender` is what
    these messages come from, 1 to 12 characters. `protect` guards the workspace against deletion: its logs are all that
    is left to say what happened.

    `query_rules` are the alerts on the workspace's logs, `workbook` shows them to the person on call; with
    `query_workspace_id`, plain or None, those of another workspace. Plain values
    decide on resources: `query_rules` and `workbook` which there are, `budget` whether there is one, `emails` and
    `retention_days` what is refused. Other resources come later, with `watch`: their logs need this workspace first.
    """

    workspace_name: str
    action_group_name: str
    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    sender: str
    query_rules: Sequence[QueryRule] = ()
    workbook: WorkbookContent | None = None
    query_workspace_id: pulumi.Input[str] | None = None
    protect: bool = False
    emails: Sequence[str] = ()
    retention_days: int = 30
    budget: BudgetArgs | None = None

    def __post_init__(self) -> None:
        if self.retention_days not in _RETENTION_DAYS:
            raise ValueError(
                f"MonitoringArgs.retention_days: {self.retention_days}; allowed: 30 to 730; choose one of these."
            )
        if not 1 <= len(self.sender) <= _LONGEST_SENDER:
            raise ValueError(f"MonitoringArgs.sender: got {self.sender!r}; expected 1 to {_LONGEST_SENDER} characters.")
        if self.budget is not None and not self.emails:
            raise ValueError("MonitoringArgs.emails: none, with a budget; a budget needs somebody to tell; give one.")


class Monitoring(pulumi.ComponentResource):
    """A Log Analytics workspace with alerts on it, and a workbook for the person on call.

    The workspace takes no shared key, only Entra identities, and logs into itself who asked it what. Alerts that query
    tables which do not exist before the first log arrives are not validated at creation.

        monitoring = Monitoring("monitoring", MonitoringArgs(
            workspace_name="log-shop-dev", action_group_name="ag-shop-dev", location="westeurope", sender="shop",
            resource_group_name=group.name, tags={}, emails=["oncall@example.com"], query_rules=RULES,
        ))
        server = Postgres("database", PostgresArgs(workspace_id=monitoring.workspace_id, ...))
        monitoring.watch(server.id, [MetricRule(name="disk-full", metric="storage_percent", threshold=85, ...)])

    Sources, Microsoft Learn: "Log Analytics workspace overview", "Tutorial: Create and manage budgets" (action groups
    at the scope of a resource group), "Audit queries in Azure Monitor Logs", "Azure Workbooks".
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
            group_short_name=args.sender,
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
        self._place = AlertPlace(
            prefix=args.workspace_name,
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            action_group_id=self.action_group_id,
        )
        elsewhere = args.query_workspace_id
        asked = self.workspace_id if elsewhere is None else pulumi.Output.from_input(elsewhere)
        for rule in args.query_rules:
            query_alert(name, rule, place=self._place, workspace_id=asked, parent=self)
        if args.workbook is not None:
            workbook(
                f"{name}-workbook",
                args.workbook,
                workspace_name=args.workspace_name,
                workspace_id=asked,
                location=args.location,
                resource_group_name=args.resource_group_name,
                tags=args.tags,
                parent=self,
            )
        if args.budget is not None:
            self._budget(args.budget)
        self.register_outputs({"workspace_id": self.workspace_id, "action_group_id": self.action_group_id})

    def watch(self, target_id: pulumi.Input[str], rules: Sequence[MetricRule]) -> None:
        """Alert on metrics of a resource."""
        for rule in rules:
            metric_alert(self._own_name, rule, place=self._place, target_id=target_id, parent=self)

    def _budget(self, budget: BudgetArgs) -> None:
        """Make the budget of an amount. Another amount is another budget, and the previous one is deleted after it.

        Azure refuses an update without the eTag of the budget that is there, which no program can know before, and
        every other start than the first one. A budget holds only this month's alerts, which come again.
        """
        amount = f"{budget.amount:.15g}".replace(".", "_")
        consumption.Budget(
            f"{self._own_name}-budget-{amount}",
            budget_name=f"{budget.name}-{amount}",
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
                    # Through the action group, as the alerts: another address is no change of the budget.
                    contact_emails=[],
                    contact_groups=[self.action_group_id],
                )
                for share in _BUDGET_SHARES
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                # The start cannot be changed, and Azure computes the end and the eTag.
                ignore_changes=["timePeriod", "eTag"],
            ),
        )
