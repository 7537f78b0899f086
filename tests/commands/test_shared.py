"""What several commands share."""

from wfviz.commands.shared import classes_of


def test_a_class_whose_name_holds_a_comma():
    names = ("cat", "dog, small", "7")
    assert classes_of("dog, small", names) == (1,) and classes_of("cat, 7,cat", names) == (0, 2)
