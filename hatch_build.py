"""Build hook: compiles the library where there is a C++ compiler; the install succeeds without."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LibraryHook(BuildHookInterface[Any]):
    """Puts bbnas/native/_native.* into wheels, and beside the sources of editable installs.

    Two wheels are built so. Their configurations name the library's ``folder``, and whether the
    library is ``required``.
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        path = Path(__file__).parent / "bbnas" / "native" / "build.py"
        spec = importlib.util.spec_from_file_location("bbnas_native_build", path)
        assert spec is not None and spec.loader is not None  # noqa: PT018 - the file is there
        native = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(native)
        try:
            native.build()
        except native.NotBuiltError as error:
            if self.config["required"]:
                raise
            self.app.display_warning(f"bbnas is installed without its compiled library: {error}")
            return
        if version != "editable":
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_platform_tag()}"
            # The stamp names the engine that latencies were measured with.
            for file in (native.LIBRARY, native.LIBRARY.with_suffix(".stamp")):
                place = Path(self.config["folder"]) / file.name
                build_data["force_include"][str(file)] = str(place)


def _platform_tag() -> str:
    """The platform that the library is compiled for, such as linux_x86_64.

    sysconfig knows the target of cibuildwheel. Of a universal2 Python it names both processors;
    the library is for one of them, which packaging names first.
    """
    platform = sysconfig.get_platform()
    if "universal2" in platform:
        from packaging.tags import sys_tags

        return next(sys_tags()).platform
    return platform.replace("-", "_").replace(".", "_")
