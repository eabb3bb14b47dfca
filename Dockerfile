# All that this project needs: docker build -t goroutines . && docker run -it goroutines
# Inside: ./qemu-run.sh, tests/run.sh, course/grade LAB. No step needs KVM or a privilege.
FROM debian:trixie-slim
ENV PATH=/root/.cargo/bin:$PATH
WORKDIR /goroutines
# What seldom changes first, so that an edit does not download it all again.
COPY rust-toolchain.toml ./
COPY tests/lib ./tests/lib
RUN tests/lib/container.sh tools
COPY . .
RUN tests/lib/container.sh built
CMD ["bash"]
