from pathlib import Path

from tests.tiny import FAMILIES, tiny_model


def test_a_tiny_model_is_the_same_for_the_same_seed_and_another_for_another(tmp_path: Path) -> None:
    for family in FAMILIES:
        one, two, other = (
            {
                file.name: file.read_bytes()
                for file in tiny_model(tmp_path / f"{family}{name}", family, seed=seed).iterdir()
            }
            for name, seed in (("one", 1), ("two", 1), ("other", 2))
        )
        assert one == two
        assert {name for name in one if one[name] != other[name]} == {"model.safetensors"}
