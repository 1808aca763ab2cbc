"""The environment of a small checkout, made by the real uv from wheels in a folder: complete, or not trusted."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from tests.tools.conftest import CHECKOUT, Tool, is_running, wait_for
from tools import wheels
from tools.steps import Report

_NPM = """#!/bin/sh
/bin/mkdir -p node_modules/azurite/dist/src/blob && echo > node_modules/azurite/dist/src/blob/main.js
"""
_MACHINES_PYTHON = getattr(sys, "_base_executable", sys.executable)  # not that of an environment, which has an npm
_BACKEND = """
import pathlib, tomllib, zipfile
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    module = project["name"].replace("-", "_")
    name, info = f"{module}-1.0-py3-none-any.whl", f"{module}-1.0.dist-info"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        wheel.writestr(f"{module}.pth", str(pathlib.Path.cwd()))
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {project['name']}\\nVersion: 1.0\\n")
        scripts = "".join(f"{script} = {target}\\n" for script, target in project.get("scripts", {}).items())
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\\n{scripts}")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""
_PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "mlflow-runtime"
version = "1.0"
"""
_ROOT_PROJECT = f"""{_PROJECT.replace("mlflow-runtime", "mlflow-platform")}
[project.scripts]
mlflow-platform = "stub_platform:main"
[tool.ruff]
line-length = 120
"""


def wheel(folder: Path, name: str, files: dict[str, str], version: str = "1.0") -> str:
    """Write a wheel and return the line of a lock file that pins it."""
    info = f"{name}-{version}.dist-info"
    members = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_record_hash(text)},{len(text)}\n" for path, text in members.items())
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in (members | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}).items():
            member = zipfile.ZipInfo(path)
            member.external_attr = 0o755 << 16
            archive.writestr(member, text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


def _record_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


class Checkout:
    """A checkout with this project's tools and small locks, on a machine whose pip knows one folder of wheels."""

    def __init__(self, folder: Path, wheels_folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.wheels = wheels_folder
        self.environment = environment
        shutil.copytree(CHECKOUT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "runtime").mkdir()
        (folder / "runtime" / "pyproject.toml").write_text(_PROJECT)
        (folder / "runtime" / "backend.py").write_text(_BACKEND)
        (folder / "runtime" / "mlflow_runtime.py").write_text("")
        self.configure(_ROOT_PROJECT)
        (folder / "backend.py").write_text(_BACKEND)
        (folder / "stub_platform.py").write_text("def main():\n    print('the platform')\n")
        self.lock("requirements.txt", wheel(self.wheels, "stub_program", {"stub_program.py": ""}))
        self.lock("runtime/requirements.lock", wheel(self.wheels, "stub_service", {"stub_service.py": ""}))
        self.put_npm(_NPM)
        self.lock("requirements-dev.txt", wheel(self.wheels, "stub_test", {"stub_test.py": ""}))

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"

    @property
    def tool(self) -> Tool:
        return Tool(script=self.folder / "tools" / "venv.py", environment=self.environment)

    @property
    def azurite(self) -> Tool:
        script = self.folder / "tools" / "azurite" / "install.py"
        return Tool(script=script, environment=self.environment, python=_MACHINES_PYTHON)

    def lock(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def configure(self, project: str) -> None:
        """Write the checkout's own pyproject.toml."""
        (self.folder / "pyproject.toml").write_text(project)

    def put_npm(self, script: str, version: str = "1.0") -> None:
        files = {f"stub_node-{version}.data/scripts/npm": script}
        self.lock("requirements-local.txt", wheel(self.wheels, "stub_node", files, version))

    def imports(self, module: str) -> bool:
        command = [str(self.venv / "bin" / "python"), "-c", f"import {module}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def module(self, name: str) -> Path:
        [file] = self.venv.glob(f"lib/python3*/site-packages/{name}.py")
        return file


def compiled(module: Path) -> Path:
    """Where this Python keeps the module's bytecode."""
    return Path(cache_from_source(str(module)))


@pytest.fixture
def checkout(tmp_path: Path, private: dict[str, str]) -> Checkout:
    uv = wheels.unpacked(CHECKOUT / "tools" / "uv.txt", essential="bin/uv", report=Report("test"))
    cache = tmp_path / "cache" / "mlflow-platform"
    cache.mkdir()
    (cache / "uv").symlink_to(uv.parent)  # the machine has uv already: its installation needs an index
    (tmp_path / "wheels").mkdir()
    environment = private | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    (tmp_path / "checkout").mkdir()
    return Checkout(tmp_path / "checkout", tmp_path / "wheels", environment)


def test_the_environment_is_complete_and_its_folder_all_of_stdout(checkout: Checkout) -> None:
    result = checkout.tool.run()
    assert (result.returncode, result.stdout) == (0, f"{checkout.venv}\n"), result.stderr
    assert all(checkout.imports(module) for module in ("stub_program", "stub_service", "mlflow_runtime"))
    assert not checkout.imports("stub_test")
    assert (checkout.venv / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js").is_file()


def test_the_command_line_works_from_any_folder(checkout: Checkout, tmp_path: Path) -> None:
    checkout.tool.run()
    program = checkout.venv / "bin" / "mlflow-platform"
    done = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "the platform\n"), done.stderr


def test_what_is_imported_is_compiled_and_the_rest_of_azure_native_and_tests_are_not(checkout: Checkout) -> None:
    azure, other = "pulumi_azure_native", "stub_program"
    files = [f"{azure}/__init__.py", *(f"{azure}/{one}/__init__.py" for one in ("storage", "web", "app"))]
    files += [f"{other}/__init__.py", f"{other}/part.py", f"{other}/tests/test_part.py", f"{other}/testing.py"]
    checkout.lock("requirements.txt", wheel(checkout.wheels, other, dict.fromkeys(files, "")))
    (checkout.folder / "infra").mkdir()
    (checkout.folder / "infra" / "program.py").write_text(f"from {azure} import app as apps, storage\n")
    assert checkout.tool.run().returncode == 0
    site = checkout.module("stub_service").parent
    left = {file for file in files if not compiled(site / file).exists()}
    assert left == {f"{azure}/web/__init__.py", f"{other}/tests/test_part.py"}


def test_only_what_is_installed_of_the_project_counts(checkout: Checkout, guarded: dict[str, str]) -> None:
    checkout.tool.run()
    checkout.configure(_ROOT_PROJECT.replace("line-length = 120", "line-length = 100"))
    assert checkout.tool.run(**guarded).stderr == ""
    checkout.configure(_ROOT_PROJECT.replace("mlflow-platform = ", "renamed = "))
    assert checkout.tool.run().returncode == 0
    assert (checkout.venv / "bin" / "renamed").is_file()
    assert not (checkout.venv / "bin" / "mlflow-platform").exists()


def test_a_project_file_that_cannot_be_read_is_named(checkout: Checkout) -> None:
    checkout.configure("[project")
    result = checkout.tool.run()
    assert result.returncode == 1
    assert f"{checkout.folder / 'pyproject.toml'} is not TOML" in result.stderr


def test_a_second_call_starts_no_process_and_opens_no_connection(checkout: Checkout, guarded: dict[str, str]) -> None:
    assert "under the guard" in checkout.tool.run(**guarded).stderr  # the guard does catch a first call
    assert checkout.tool.run().returncode == 0
    second = checkout.tool.run(**guarded)
    assert (second.returncode, second.stdout, second.stderr) == (0, f"{checkout.venv}\n", "")


def test_the_packages_of_tests_are_added_on_demand_and_then_stay(checkout: Checkout, guarded: dict[str, str]) -> None:
    checkout.tool.run()
    checkout.tool.run("--dev")
    assert checkout.imports("stub_test")
    assert checkout.tool.run(**guarded).returncode == 0
    assert checkout.tool.run("--dev", **guarded).returncode == 0
    checkout.lock("requirements.txt", wheel(checkout.wheels, "stub_other", {"stub_other.py": ""}))
    assert checkout.tool.run().returncode == 0
    assert checkout.imports("stub_other")
    assert checkout.imports("stub_test")


def test_a_changed_lock_changes_the_environment_in_place(checkout: Checkout) -> None:
    checkout.tool.run()
    inode = checkout.module("stub_program").stat().st_ino
    checkout.lock("runtime/requirements.lock", wheel(checkout.wheels, "stub_other", {"stub_other.py": ""}))
    assert checkout.tool.run().returncode == 0
    assert checkout.imports("stub_other")
    assert not checkout.imports("stub_service")
    assert checkout.module("stub_program").stat().st_ino == inode


def test_a_second_checkout_shares_the_files_of_the_first(checkout: Checkout, tmp_path: Path) -> None:
    checkout.tool.run()
    (tmp_path / "second").mkdir()
    second = Checkout(tmp_path / "second", checkout.wheels, checkout.environment)
    assert second.tool.run().returncode == 0
    assert second.module("stub_service").samefile(checkout.module("stub_service"))


def test_a_second_checkout_shares_what_the_first_has_compiled_unless_a_package_is_another(
    checkout: Checkout, tmp_path: Path
) -> None:
    linking = {**checkout.environment, "UV_LINK_MODE": "hardlink"}
    checkout.environment = linking
    assert checkout.tool.run().returncode == 0
    (tmp_path / "second").mkdir()
    second = Checkout(tmp_path / "second", checkout.wheels, linking)
    said = second.tool.run()
    assert "compiling" not in said.stderr
    first, shared = (compiled(each.module("stub_service")) for each in (checkout, second))
    assert shared.samefile(first)
    second.lock("requirements.txt", wheel(checkout.wheels, "stub_other", {"stub_other.py": "A = 1"}))
    said = second.tool.run()
    assert "compiling" in said.stderr
    assert compiled(second.module("stub_other")).exists()


def test_a_module_that_this_python_cannot_read_is_left_to_its_import(checkout: Checkout) -> None:
    files = {"stub_program.py": "", "stub_old.py": "print 1\n"}
    checkout.lock("requirements.txt", wheel(checkout.wheels, "stub_program", files))
    said = checkout.tool.run()
    assert said.returncode == 0, said.stderr
    assert compiled(checkout.module("stub_program")).exists()
    assert not checkout.imports("stub_old")


def test_the_bytecode_of_few_sets_of_packages_is_kept(checkout: Checkout, tmp_path: Path) -> None:
    checkout.environment = {**checkout.environment, "UV_LINK_MODE": "hardlink"}
    for number in range(5):
        locked = wheel(checkout.wheels, "stub_program", {"stub_program.py": ""}, f"{number}.0")
        checkout.lock("requirements.txt", locked)
        assert checkout.tool.run().returncode == 0
    kept = tmp_path / "cache" / "mlflow-platform" / "bytecode"
    assert len([each for each in kept.iterdir() if each.is_dir()]) == 3


def test_where_uv_copies_each_checkout_compiles_its_own(checkout: Checkout, tmp_path: Path) -> None:
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
        environment = {**checkout.environment, "UV_LINK_MODE": "copy"}
        other = Checkout(tmp_path / name, checkout.wheels, environment)
        assert "compiling" in other.tool.run().stderr
        assert compiled(other.module("stub_service")).exists()
    assert not (tmp_path / "cache" / "mlflow-platform" / "bytecode").exists()


def test_a_package_with_another_hash_than_the_locked_one_is_refused(checkout: Checkout) -> None:
    good = (checkout.folder / "requirements.txt").read_text()
    checkout.lock("requirements.txt", f"stub_program==1.0 --hash=sha256:{'0' * 64}\n")
    result = checkout.tool.run()
    assert (result.returncode, result.stdout) == (1, "")
    assert "installing the locked packages failed" in result.stderr
    assert "Check that pip reaches a package index" in result.stderr.splitlines()[-1]
    assert not checkout.imports("stub_program")
    checkout.lock("requirements.txt", good)
    assert checkout.tool.run().returncode == 0


def test_a_package_without_a_hash_is_refused(checkout: Checkout) -> None:
    checkout.lock("requirements.txt", "stub_program==1.0\n")
    result = checkout.tool.run()
    assert result.returncode == 1
    assert "hash" in result.stderr


def test_a_killed_installation_is_not_trusted_and_repaired(checkout: Checkout, tmp_path: Path) -> None:
    pid = tmp_path / "npm.pid"
    checkout.put_npm(f"#!/bin/sh\necho $$ > {pid}.new; /bin/mv {pid}.new {pid}; exec /bin/sleep 300\n")
    process = checkout.tool.start()
    wait_for(pid.exists)
    process.kill()
    process.communicate()
    os.kill(int(pid.read_text()), signal.SIGKILL)
    wait_for(lambda: not is_running(int(pid.read_text())))

    checkout.put_npm(_NPM, "2.0")
    result = checkout.tool.run()
    assert result.returncode == 0, result.stderr
    assert "replacing" in result.stderr  # whatever the dead process left is not trusted
    assert "installing azurite" in result.stderr
    assert (checkout.venv / "azurite").resolve().is_dir()


def test_a_moved_checkout_gets_a_new_environment(checkout: Checkout, tmp_path: Path) -> None:
    checkout.tool.run()
    checkout.folder = checkout.folder.rename(tmp_path / "moved")
    result = checkout.tool.run()
    assert result.returncode == 0, result.stderr
    assert "replacing" in result.stderr
    assert str(checkout.folder) in (checkout.venv / "bin" / "activate").read_text()


def test_an_environment_whose_interpreter_is_gone_is_replaced(checkout: Checkout) -> None:
    checkout.tool.run()
    python = checkout.venv / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert checkout.tool.run().returncode == 0
    assert checkout.imports("stub_program")


def test_a_missing_lock_is_named(checkout: Checkout) -> None:
    (checkout.folder / "requirements-local.txt").unlink()
    result = checkout.tool.run()
    assert result.returncode == 1
    assert f"missing in the checkout: {checkout.folder / 'requirements-local.txt'}" in result.stderr


def test_a_python_without_pip_and_ensurepip_names_the_package_to_install(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "cache" / "mlflow-platform" / "uv").unlink()
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian" / "sitecustomize.py").write_text(
        "import sys\nsys.modules['pip'] = sys.modules['ensurepip'] = None"
    )
    result = checkout.tool.run(PYTHONPATH=str(tmp_path / "debian"))
    assert result.returncode == 1
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in result.stderr
    assert not checkout.venv.exists()


@pytest.mark.parametrize("script", ["venv.py", "lock.py", "pulumi/engine.py", "azurite/install.py"])
def test_a_python_that_is_too_old_is_refused_in_one_line(script: str) -> None:
    pretend = "import runpy, sys; sys.version_info = (3, 10, 2); runpy.run_path(sys.argv[1], run_name='__main__')"
    command = [sys.executable, "-c", pretend, str(CHECKOUT / "tools" / script)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "is Python 3.10.2; 3.11 or newer is needed" in result.stderr


def test_azurite_without_an_environment_says_where_npm_comes_from(checkout: Checkout) -> None:
    result = checkout.azurite.run()
    assert (result.returncode, result.stdout) == (1, "")
    assert "make it with tools/venv.py" in result.stderr.splitlines()[-1]


def test_azurite_prints_the_folder_that_the_environment_links_to(checkout: Checkout, guarded: dict[str, str]) -> None:
    checkout.tool.run()
    assert Path(checkout.azurite.run(**guarded).stdout.strip()) == (checkout.venv / "azurite").resolve()
