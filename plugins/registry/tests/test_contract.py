"""What is registered belongs to whoever acts, once, and goes with its owner."""

import pytest

from aegis_registry.registry import Left, Owner, Registry, Taken, acting, acts


@pytest.fixture
def registry():
    return Registry("thing")


def test_what_is_added_belongs_to_who_acts(registry):
    registry.add("a", 1)
    with acting("one"):
        registry.add("b", 2)
        registry.add("c", 3, by="two")
    assert registry.owners() == {"a": "", "b": "one", "c": "two"}
    assert dict(registry.items()) == {"a": 1, "b": 2, "c": 3} and list(registry.values()) == [1, 2, 3]


def test_a_name_is_held_once_and_the_sentence_names_both(registry):
    registry.add("a", 1, by="one")
    with pytest.raises(Taken, match="plugins 'one' and 'two' both offer the thing 'a'; disable one of them"):
        registry.add("a", 2, by="two")
    with pytest.raises(Taken, match="plugin 'one' offers the thing 'a' twice"):
        registry.add("a", 3, by="one")
    assert registry["a"] == 1


def test_an_owner_takes_everything_with_it_and_who_watches_hears_of_it():
    heard = []
    registry = Registry("thing", lambda: heard.append(len(registry)))
    for name in "abc":
        registry.add(name, name, by="one" if name != "b" else "two")
    assert registry.remove("one") == ["a", "c"] and list(registry) == ["b"]
    assert registry.remove("one") == []
    assert heard == [1, 2, 3, 1]


def test_one_that_has_left_adds_nothing(registry):
    gone = Owner("gone")
    with acting(gone):
        assert acts() == "gone"
        gone.left = True
        with pytest.raises(Left, match="the plugin 'gone' has left"):
            registry.add("a", 1)
    assert not registry


def test_a_kind_of_registry_has_its_own_errors():
    class Own(Registry):
        taken = left = KeyError

    own = Own("thing")
    own.add("a", 1)
    with pytest.raises(KeyError):
        own.add("a", 2)
