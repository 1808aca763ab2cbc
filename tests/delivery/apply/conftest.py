"""The project's own Azurite, for the tests of a lease beside a state on Azure."""

from tests.components.emulators.conftest import azurite as azurite
from tests.components.emulators.conftest import shared_plane as shared_plane
