"""Examples of `lib.book.quiz`; see `tests/lib/test_examples.py`."""

# %% Question
from lib.book.quiz import Question, quiz

question = Question("Is a projection linear?", answer="Yes", why="Ours are.", wrong={"No": "Look at P(ax)."})
quiz([question])
assert question.answer not in question.wrong

# %% quiz
from lib.book.quiz import Question, quiz

try:
    quiz([Question("Which?", answer="This", why="So.", wrong={})])
except ValueError as error:
    refused = str(error)
assert "wrong must hold answers" in refused

# %% Feedback
from lib.book.quiz import feedback

said = feedback(False, "`rank` is too high.")
assert not said and said.message == "`rank` is too high."

# %% feedback
from lib.book.quiz import feedback

assert feedback(1 + 1 == 2, "It adds up.")
