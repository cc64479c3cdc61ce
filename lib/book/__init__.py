"""What a page of the book shows: cards, figures, quizzes, exercises, set-up."""
