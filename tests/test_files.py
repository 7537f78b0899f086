"""Files that are whole or not there."""

import pytest
import torch
from safetensors.torch import save_file

from wfviz.errors import WfvizError
from wfviz.files import write_atomically, write_json


@pytest.mark.parametrize("error", [OSError, ValueError])
def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, error):
    path = tmp_path / "state.json"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("half")
        raise error

    with pytest.raises(error):
        write_atomically(path, write)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_weights_that_cannot_be_written_are_said_in_a_sentence(tmp_path):
    with pytest.raises(WfvizError, match="weights.safetensors cannot be written"):
        write_atomically(tmp_path / "weights.safetensors", lambda temporary: save_file({"a": torch.ones(2)}, temporary.parent / "no" / "a"))
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_written_over(tmp_path):
    with pytest.raises(WfvizError, match="is a folder; name a file"):
        write_json(tmp_path, {})
    assert not list(tmp_path.iterdir())
