"""The aspects under which a report looks at a plan; a new one is a function and its line in this list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from delivery.preview.findings.costs import costs
from delivery.preview.findings.data import data
from delivery.preview.findings.first import fixed
from delivery.preview.findings.network import cut_off, exposure, links, network
from delivery.preview.findings.outage import deletion_by_age, outage, static_parameters, way_back
from delivery.preview.findings.protection import alerts, classification, protection
from delivery.preview.findings.refusals import pending, refusals
from delivery.preview.findings.rights import rights
from delivery.preview.findings.settings import disk, soak_time, subscription
from delivery.preview.findings.waivers import waivers
from delivery.preview.findings.workloads import connections, image, service_settings
from delivery.preview.reasons import Finding

FINDINGS: Final[Sequence[Finding]] = (
    fixed,
    data,
    refusals,
    subscription,
    outage,
    cut_off,
    way_back,
    deletion_by_age,
    disk,
    static_parameters,
    rights,
    network,
    exposure,
    links,
    protection,
    alerts,
    classification,
    soak_time,
    image,
    costs,
    connections,
    service_settings,
    waivers,
    pending,
)
