import pytest

from testkit.whole_engine import Engine


@pytest.fixture
def engine_of():
    made = []

    def make(*voices, **options):
        made.append(Engine(*voices, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()
