"""Examples of `lib.serve.service`; see `tests/lib/test_examples.py`."""

# %% Limits
from lib.models import Classifier, load_encoder
from lib.serve.service import Limits, service

model = Classifier(load_encoder("minilm"), ["bad", "good"])
app = service(model, Limits(texts=8, characters=500))
assert {"/predict", "/health"} <= {route.path for route in app.routes}

# %% service
import asyncio

from lib.models import Classifier, load_encoder
from lib.serve.service import service

app = service(Classifier(load_encoder("minilm"), ["bad", "good"]))  # serve it with `uvicorn.run(app)`
(health,) = (route.endpoint for route in app.routes if route.path == "/health")
assert asyncio.run(health())["classes"] == ["bad", "good"]

# %% main
from lib.serve.service import main

try:
    main(["no-such-folder", "--port", "0"])
except SystemExit as ended:
    code = ended.code
assert code == 2  # an argument is wrong, and stderr says which
