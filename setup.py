"""What spot-connect is and needs; tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "spot_connect/__init__.py").read_text(encoding="utf-8"))
BENCH = ["fabric>=3", "parallel-ssh>=2.12", "uvloop>=0.18; sys_platform != 'win32'"]
PLOT = ["matplotlib>=3.8"]
JOBS = ["distributed>=2026.8"]
LOGIN = ["botocore[crt]"]
LOCAL = ["moto>=5.2.5,<5.3", "flask>=3", "flask-cors>=5", "asyncssh>=2.24", "awscli>=1.44"]

setup(
    name="spot-connect",
    version=VERSION.group(1) if VERSION else "0",
    description="AWS EC2 spot instances by name, from a shell, a script or a notebook",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=find_packages(include=["spot_connect", "spot_connect.*"]),
    include_package_data=True,
    install_requires=["boto3>=1.34", "cryptography>=42", "paramiko>=4,<6", "netaddr>=1", "path>=16", "rich>=13"],
    extras_require={
        "bench": BENCH,
        "jobs": JOBS,
        "local": LOCAL,
        "login": LOGIN,
        "plot": PLOT,
        "test": [
            *JOBS,
            *LOCAL,
            *PLOT,
            "build",
            "hypothesis",
            "ipykernel",
            "mypy",
            "nbclient",
            "pexpect",
            "pyte",
            "pytest>=8",
            "pytest-timeout",
            "pytest-xdist",
            "ruff",
            "setuptools>=77",
            "types-netaddr",
            "types-paramiko",
        ],
    },
    entry_points={"console_scripts": ["spot_connect=spot_connect.connect:main"]},
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Clustering",
    ],
)
