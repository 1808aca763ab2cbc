"""One stack of the product's own program with an empty offline Azure, for as long as a `with` statement lasts."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from delivery.offline_azure import bootstrapped
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.product import Product
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi
from delivery.pulumi.installation import REPOSITORY


@contextlib.contextmanager
def offline(stack: str, repository: Path = REPOSITORY) -> Iterator[Product]:
    """Yield the stack of a repository; nothing of it remains afterwards. Raises what `Product` raises.

    The image that its file names can be imported there, and no other one; what a bootstrap stack makes for it is there.
    """
    with tempfile.TemporaryDirectory(prefix="mlflow-platform-offline-") as folder:
        azure = Azure(Path(folder) / "azure.json")
        server, port = serve(azure)
        management = ManagementApi(azure)
        try:
            product = Product(Path(folder), stack, port, management.url, repository=repository, written_once=True)
            # A wrong source or digest is the program's to refuse.
            with contextlib.suppress(ValueError):
                if image := product.imported_image:
                    azure.publish(image)
            if product.values.get("bootstrappedBy"):
                bootstrapped.provide(azure, stack, str(product.values.get("location", "westeurope")))
            yield product
        finally:
            server.stop(None)
            management.close()
