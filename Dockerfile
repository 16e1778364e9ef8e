# gdpw-pipe as an image, for CPUs or for NVIDIA GPUs:  make docker          (one of the two: make docker TARGET=cpu)
# Holds no gated file: mount FLAME, DECA and GDPW files at run time, in /data/assets. Pinned are the base by its tag,
# Python's packages by constraints.txt and nvdiffrast by its commit. deploy/check_image.py follows it without Docker.

FROM python:3.12.12-slim-bookworm AS base
ENV HOME=/home/gdpw \
    PIP_CONSTRAINT=/constraints.txt \
    PIP_BUILD_CONSTRAINT=/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    RAY_USAGE_STATS_ENABLED=0 \
    GDPW_ASSETS=/data/assets
# rsync is for Ray's cluster launcher, wget for KubeRay's probes; the others for MediaPipe and OpenCV.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 libxcb1 rsync wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home gdpw \
    && mkdir /data \
    && chown gdpw /data
COPY constraints.txt /constraints.txt
WORKDIR /data
ENTRYPOINT ["gdpw-pipe"]
CMD ["--help"]

FROM base AS wheel
COPY . /source
RUN python -m pip wheel --no-deps --wheel-dir /wheels /source

# nvcc as wheels, of the CUDA that this torch was built with.
FROM base AS nvdiffrast
ARG NVDIFFRAST=253ac4fcea7de5f396371124af597e6cc957bfae
ARG TORCH_CUDA_ARCH_LIST="7.5;8.0;8.6;8.9;9.0;10.0;12.0+PTX"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git \
    && rm -rf /var/lib/apt/lists/*
RUN python -m pip install torch setuptools wheel ninja 'cuda-toolkit[cccl,nvcc]'
RUN CUDA_HOME="$(python -c 'import nvidia.cu13; print(*nvidia.cu13.__path__)')" \
    && export CUDA_HOME TORCH_CUDA_ARCH_LIST \
    && ln -s lib "$CUDA_HOME/lib64" \
    && ln -s libcudart.so.13 "$CUDA_HOME/lib/libcudart.so" \
    && python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels \
    "nvdiffrast @ git+https://github.com/NVlabs/nvdiffrast@$NVDIFFRAST"

FROM base AS cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m pip install --no-deps --index-url "$TORCH_INDEX" torch
COPY --from=wheel /wheels /wheels
RUN python -m pip install "$(echo /wheels/gdpw_pipe-*.whl)[cloud,demo,train,web]"
USER 1000

FROM base AS cuda
RUN python -m pip install torch
COPY --from=nvdiffrast /wheels /wheels
COPY --from=wheel /wheels /wheels
RUN python -m pip install "$(echo /wheels/gdpw_pipe-*.whl)[cloud,demo,train,web]" /wheels/nvdiffrast-*.whl
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER 1000
