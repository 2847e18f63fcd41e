import json
from pathlib import Path

import yaml

from services.edge.clusters import cluster
from services.edge.connections import UNUSED_MEMORY, overload_manager
from services.edge.descriptor import SERVICES
from services.edge.extension import Config, socket_address
from services.edge.listener import listeners
from services.edge.mcp import mcp_cluster
from services.edge.media import media_cluster
from services.edge.metrics import metrics_cluster, stats_config
from services.edge.pages import pages_bootstrap, pages_clusters
from services.edge.settings import EdgeSettings
from services.edge.tls import SECRET_FILE
from services.edge.tracing import collector_clusters


def render(settings: EdgeSettings, secret_file: Path = SECRET_FILE) -> Config:
    """Returns the whole configuration of Envoy; the same settings and descriptor set give the same result.

    With a certificate it refers to `secret_file`, which holds what `secret_text` returns.
    """
    targets = {
        "billing": settings.billing_targets,
        "jobs": settings.jobs_targets,
        "webhooks": settings.webhooks_targets,
    }
    media = [media_cluster(settings.media_targets)] if settings.media_targets else []
    mcp = [mcp_cluster(settings.mcp_targets)] if settings.mcp_targets else []
    own_pages = [metrics_cluster(settings.admin_address)] if settings.metrics_address else []
    return {
        # It answers, and can be drained, also when all connections are taken.
        "admin": {"address": socket_address(settings.admin_address), "ignore_global_conn_limit": True},
        "stats_config": stats_config(),
        **pages_bootstrap(settings.site_dir),
        "overload_manager": overload_manager(
            connections_max=settings.connections_max, heap_mib=settings.heap_mib
        ),
        "memory_allocator_manager": UNUSED_MEMORY,
        "static_resources": {
            "listeners": listeners(settings, secret_file),
            "clusters": [
                *(
                    cluster(name, targets[name], creations_max=settings.creations_at_once)
                    for name in SERVICES
                ),
                *media,
                *mcp,
                *own_pages,
                *pages_clusters(settings.site_dir),
                *collector_clusters(settings.otlp_endpoint),
            ],
        },
    }


def as_json(config: Config) -> str:
    """Returns the text that Envoy reads from a file whose name ends in `.json`."""
    return json.dumps(config, ensure_ascii=False)


def as_yaml(config: Config) -> str:
    """Returns the text that Envoy reads from any other file, and people too, with sorted keys."""
    unshared = json.loads(json.dumps(config))  # PyYAML writes an alias for what stands twice
    text: str = yaml.dump(unshared, Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True, width=110)
    return text
