import importlib.metadata


def test_the_package_is_installed_from_include():
    assert importlib.metadata.version("freightsync")
