.PHONY: proto
PY ?= .venv/bin/python

proto:
	$(PY) -m grpc_tools.protoc -I proto --python_out=reference --mypy_out=reference --grpc_python_out=reference --mypy_grpc_out=reference proto/scheduler/v1/scheduler.proto
