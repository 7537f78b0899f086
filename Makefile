# make run     the dashboard on the shipped networks    PORT=8502 ADDRESS=0.0.0.0 to serve it elsewhere
# make test    installs what the tests need, Chromium included, and runs them    ARGS="-k forget" to run some
PYTHON  ?= python3
VENV    ?= .venv
PORT    ?= 8501
ADDRESS ?= localhost
ARGS    ?=

BIN := $(VENV)/bin
UV  := uv==0.13.8

# Where bytecode may not be written, every start would compile torch and streamlit again (ten seconds and more).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test chromium

run: $(VENV)/.for-run
	@if [ -n "$$CI" ] || { [ "$$(uname)" = Linux ] && [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ]; }; \
	then headless=true; else headless=false; fi; \
	exec $(BIN)/streamlit run app.py --server.headless $$headless --server.showEmailPrompt false \
	  --browser.gatherUsageStats false --server.address $(ADDRESS) --server.port $(PORT)

test: chromium
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder $(ARGS)

# uv downloads in parallel and is three times as fast as pip; it is told what pip knows of this machine (index,
# certificates). Where it fails for any reason, pip does the same work. Its cache lives and goes with the installation.
define install
@echo "Installing $(1) into $(VENV) (the first time: 3 GB to download, 6 GB on disk) ..."
@export UV_CACHE_DIR=$(VENV)/cache UV_SYSTEM_CERTS=1; \
pip="$(BIN)/python -m pip --disable-pip-version-check"; \
index=$${PIP_INDEX_URL:-$$($$pip config get global.index-url 2>/dev/null)}; \
cert=$${PIP_CERT:-$$($$pip config get global.cert 2>/dev/null)}; \
if [ -n "$$index" ] && [ -z "$$UV_DEFAULT_INDEX" ]; then export UV_DEFAULT_INDEX="$$index"; fi; \
if [ -n "$$cert" ] && [ -z "$$SSL_CERT_FILE" ]; then export SSL_CERT_FILE="$$cert"; fi; \
{ $$pip install --quiet $(UV) && $(BIN)/uv pip install --python $(BIN)/python -r $(1); } \
|| { echo "uv could not install it: doing the same with pip, which takes about two minutes longer."; \
     $$pip install --no-compile -r $(1); }; \
status=$$?; rm -rf $(VENV)/cache; exit $$status
@touch $@
endef

$(VENV)/.for-run: requirements.txt | $(VENV)/.made
	$(call install,requirements.txt)

$(VENV)/.for-test: requirements-test.txt requirements.txt | $(VENV)/.made
	$(call install,requirements-test.txt)
	@touch $(VENV)/.for-run

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "wfviz needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Playwright drives the browser of the system; its own download serves where there is no apt. Its driver needs libatomic.
chromium: $(VENV)/.for-test
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
	  if command -v $$name && $(BIN)/playwright --version; then exit 0; fi >/dev/null 2>&1; \
	done; \
	if ! command -v apt-get >/dev/null; then $(BIN)/playwright install chromium && exit 0; \
	else \
	  echo "Installing Chromium for the browser tests ..."; \
	  sudo=; if [ "$$(id -u)" != 0 ]; then sudo=sudo; fi; \
	  $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends chromium fonts-liberation libatomic1 >/dev/null && exit 0; \
	fi; \
	echo "The browser tests need Chromium and it could not be installed: as an administrator, run apt-get install chromium."; \
	exit 1
