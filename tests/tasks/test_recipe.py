"""Recipes are closed and typed: what is wrong is said with the key, and with the nearest right name."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from tasks.recipe import Recipe, Settings, load_recipe, parse_settings, recipe_names
from tasks.registry import AUXILIARY, TRACKS, get_task

EVENT = get_task("event")
SHIPPED = [(track, name) for track in (*TRACKS, *AUXILIARY) for name in recipe_names(get_task(track).recipes)]
MINIMAL = '[encoder]\nsource = "scratch"\n[model]\nname = "crf"\n[training]\nepochs = 1\n'


def load(name_or_file="quick", *overrides):
    return load_recipe(EVENT.recipes, str(name_or_file), overrides, check=EVENT.check_recipe)


def problems(name_or_file="quick", *overrides):
    with pytest.raises(InputError) as caught:
        load(name_or_file, *overrides)
    return caught.value.problems


def test_every_track_ships_the_three():
    for track in TRACKS:
        assert {"default", "small", "quick"} <= set(recipe_names(get_task(track).recipes))


@pytest.mark.parametrize(("track", "name"), SHIPPED)
def test_shipped_recipes_are_valid_and_come_back_from_toml(track, name, tmp_path):
    task = get_task(track)
    recipe = load_recipe(task.recipes, name, check=task.check_recipe)
    (tmp_path / "again.toml").write_text(recipe.as_toml(), encoding="utf-8")
    assert load_recipe(task.recipes, str(tmp_path / "again.toml"), check=task.check_recipe) == recipe
    assert parse_settings(Recipe, recipe.as_dict()) == recipe


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    recipe = load(path)
    assert recipe.encoder.source == "scratch" and recipe.training.epochs == 1.0
    assert (recipe.features.window, recipe.features.overlap) == (254, 64)
    (problem,) = problems(path, "training.epoch=3")
    assert problem.file == "--set training.epoch=3"
    path.write_text(MINIMAL.replace("[training]", "[training]\nepoch = 3"), encoding="utf-8")
    found = {problem.found: problem.file for problem in problems(path, "training.warmpu=0")}
    assert found == {"unknown key training.epoch": str(path), "unknown key training.warmpu": "--set training.warmpu=0"}
    path.write_text(MINIMAL.replace("[model]", "[model]\ntaging = 'flat'"), encoding="utf-8")
    found = {problem.found: problem.file for problem in problems(path, "model.taggin=flat")}
    assert found == {"unknown key model.taging": str(path), "unknown key model.taggin": "--set model.taggin=flat"}


# -- --set -------------------------------------------------------------------------------------------------------


def test_set_takes_numbers_strings_bare_words_and_spaces():
    recipe = load(
        "quick",
        "training.epochs=3",
        "training.learning_rate = 5e-4",
        "model.tagging=flat",
        'encoder.source="a b"',
        "features.window=64",
        "features.overlap=8",
        "decode.outside_shift=1.5",
    )
    assert (recipe.training.epochs, recipe.training.learning_rate) == (3.0, 5e-4)
    assert (recipe.model["tagging"], recipe.encoder.source) == ("flat", "a b")
    assert (recipe.features.window, recipe.features.overlap, recipe.decode["outside_shift"]) == (64, 8, 1.5)


def test_a_path_is_a_bare_word():
    assert load("quick", "encoder.source=../weights/enc-v1.2").encoder.source == "../weights/enc-v1.2"
    assert load("quick", "encoder.source=名=字").encoder.source == "名=字"


def test_the_last_set_wins():
    assert load("quick", "training.epochs=3", "training.epochs=5").training.epochs == 5.0


def test_set_reaches_tables_that_the_recipe_does_not_write(tmp_path):
    (tmp_path / "m.toml").write_text(MINIMAL, encoding="utf-8")
    assert load(tmp_path / "m.toml", "features.window=32", "features.overlap=4").features.window == 32


@pytest.mark.parametrize("override", ["training.epochs", "=3", "training.=3", ".epochs=3", "", "training.epochs.more=3"])
def test_malformed_set(override):
    (problem,) = problems("quick", override)
    assert problem.code == "LIC-R003" and f"--set {override}" in problem.found


@pytest.mark.parametrize(
    "settings_",
    [
        ["training.fgm_epsilon=0.5", "encoder.frozen_layers=1"],
        ["training.fgm_epsilon=0.5", "training.penalty_epsilon=1"],
        ["training.penalty_epsilon=1", "training.amp=O1"],
        ["training.patience=2", "training.train_on=train+dev"],
        ["encoder.frozen_layers=9"],
    ],
)
def test_what_does_not_go_together_is_refused(settings_):
    with pytest.raises(InputError) as caught:
        load_recipe(EVENT.recipes, "quick", settings_)
    assert {problem.code for problem in caught.value.problems} == {"LIC-R006"}


@pytest.mark.parametrize(("track", "name"), SHIPPED)
def test_a_header_says_command_hardware_cost_and_score(track, name):
    text = (get_task(track).recipes / f"{name}.toml").read_text(encoding="utf-8")
    header = dict(re.findall(r"^#   (\w+): +(.+)$", text.split("\n[")[0], re.M))
    assert list(header) == ["Command", "Hardware", "Cost", "Score"]
    assert header["Command"].startswith(f"lic train {track}") and (name == "default" or f"--recipe {name}" in header["Command"])
    assert header["Cost"].startswith(("measured: ", "not measured"))
    assert header["Score"] == "not measured yet" or (
        header["Score"].startswith(("measured: ", "expected ")) and re.search(r"\.\d\d", header["Score"])
    )


def test_overrides_leave_the_shipped_file_alone():
    before = load("quick")
    load("quick", "training.epochs=99")
    assert load("quick") == before


# -- what is wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "key", "nearest"),
    [
        ("training.epoch=3", "training.epoch", "epochs"),
        ("training.learning_rat=1", "training.learning_rat", "learning_rate"),
        ("trainning.epochs=3", "trainning", "training"),
        ("encoder.hiden_size=64", "encoder.hiden_size", "hidden_size"),
        ("model.taging='flat'", "model.taging", "tagging"),
        ("decode.outside_shfit=1", "decode.outside_shfit", "outside_shift"),
    ],
)
def test_a_misspelt_key_gets_the_nearest_right_name(override, key, nearest):
    (problem,) = problems("quick", override)
    assert problem.code == "LIC-R004" and problem.found == f"unknown key {key}"
    assert problem.remedy == f"Did you mean {nearest!r}?" and nearest in problem.expected


def test_a_key_like_no_other():
    (problem,) = problems("quick", "training.zzzz=3")
    assert problem.remedy == "Take the key out." and "epochs" in problem.expected


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("training.epochs=many", "training.epochs"),
        ("training.epochs=0", "training.epochs"),
        ("training.epochs=inf", "training.epochs"),
        ("training.learning_rate=nan", "training.learning_rate"),
        ("training.batch_tokens=1.5", "training.batch_tokens"),
        ("training.warmup=2", "training.warmup"),
        ("training=3", "training"),
        ("encoder.source=7", "encoder.source"),
        ("encoder.dropout=1", "encoder.dropout"),
        ("model=crf", "model"),
        ("model.tagging=flatt", "model.tagging"),
        ("model.name=crff", "model.name"),
        ("model.transition_rate=-1", "model.transition_rate"),
        ("decode.outside_shift=wide", "decode.outside_shift"),
    ],
)
def test_a_wrong_value_is_said_with_its_key(override, key):
    (problem,) = problems("quick", override)
    assert problem.code == "LIC-R006" and problem.found.startswith(f"{key} = ")


def test_values_that_do_not_fit_each_other():
    assert "48 must be smaller than window 48" in problems("quick", "features.window=48")[0].expected
    assert "not a multiple of num_heads 7" in problems("quick", "encoder.num_heads=7")[0].expected


def test_the_choice_of_the_optimizer():
    assert load("quick").training.optimizer == "adamw"
    for name in ("adamw", "adax_l2", "adax_w"):
        training = load("quick", f"training.optimizer={name}").training
        assert training.optimizer == name and training.weight_decay == 0.01
    (problem,) = problems("quick", "training.optimizer=adam")
    assert problem.code == "LIC-R006" and problem.found == "training.optimizer = 'adam'" and "'adax_w'" in problem.expected


def test_adax_has_no_weight_decay_and_says_so(tmp_path):
    recipe = load("quick", "training.optimizer=adax")
    assert recipe.training.weight_decay == 0.0
    (tmp_path / "again.toml").write_text(recipe.as_toml(), encoding="utf-8")
    assert load(tmp_path / "again.toml") == recipe
    (problem,) = problems("quick", "training.optimizer=adax", "training.weight_decay=0.1")
    assert problem.code == "LIC-R006" and "take adax_w or adax_l2, or weight_decay = 0" in problem.expected


def test_what_is_missing(tmp_path):
    (tmp_path / "m.toml").write_text("[encoder]\n[training]\n", encoding="utf-8")
    found = {(problem.code, problem.found) for problem in problems(tmp_path / "m.toml")}
    assert found == {("LIC-R005", f"no key {key}") for key in ("encoder.source", "training.epochs", "model")}


def test_every_fault_at_once():
    assert len(problems("quick", "training.epoch=1", "training.warmup=2", "encoder.sauce=x")) == 3


def test_unknown_names_and_damaged_files(tmp_path):
    (problem,) = problems("quik")
    assert problem.code == "LIC-R001" and problem.remedy == "Did you mean 'quick'?" and "small" in problem.expected
    (tmp_path / "bad.toml").write_text("[encoder\n", encoding="utf-8")
    assert problems(tmp_path / "bad.toml")[0].code == "LIC-R002"
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe9"')
    assert problems(tmp_path / "latin.toml")[0].code == "LIC-R002"
    with pytest.raises(InputError, match="event"):
        get_task("evnt")


@settings(max_examples=50, deadline=None)
@given(
    st.floats(1e-6, 1e6),
    st.integers(16, 10**6),
    st.integers(0, 2**63 - 1),
    st.text(st.characters(codec="utf-8")),
    st.none() | st.integers(1, 99),
)
def test_any_recipe_comes_back_from_toml(tmp_path_factory, rate, tokens, seed, source, limit):
    recipe = Recipe.model_validate(
        {
            "encoder": {"source": source},
            "model": {"name": "crf"},
            "training": {"epochs": 1, "learning_rate": rate, "batch_tokens": tokens, "seed": seed, "max_records": limit},
        }
    )
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(recipe.as_toml(), encoding="utf-8", newline="")
    assert load_recipe(EVENT.recipes, str(path)) == recipe


def test_settings_are_closed_and_frozen():
    class Two(Settings):
        one: int
        two: int = 2

    assert parse_settings(Two, {"one": 1}) == Two(one=1)
    with pytest.raises(InputError, match=r"unknown key outer\.tow"):
        parse_settings(Two, {"one": 1, "tow": 3}, under="outer")
