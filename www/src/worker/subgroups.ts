/**
 * Asks the browser for subgroups, which wgpu 30 cannot, and hears when the device is lost: it wraps `requestDevice` before
 * the engine starts.
 *
 * It adds one feature to what the engine asks for, where the adapter has it, and leaves word in
 * `globalThis.apprenticeHasSubgroups`, which the engine reads once it has its device. Invariant: a browser without
 * WebGPU, or an adapter without subgroups, sees no difference.
 */

interface Adapter {
  readonly features: ReadonlySet<string>;
}

interface Descriptor {
  requiredFeatures?: Iterable<string>;
}

interface Device {
  readonly lost: Promise<{ reason: string; message: string }>;
}

type RequestDevice = (this: Adapter, descriptor?: Descriptor) => Promise<Device>;

interface Scope {
  GPUAdapter?: { prototype: { requestDevice: RequestDevice } };
  apprenticeHasSubgroups?: boolean;
}

export function askForSubgroups(onLost: (reason: string) => void): void {
  const scope = globalThis as unknown as Scope;
  const prototype = scope.GPUAdapter?.prototype;
  if (!prototype) return;
  const request = prototype.requestDevice;
  prototype.requestDevice = async function (descriptor = {}) {
    const has = this.features.has("subgroups");
    const features = new Set(descriptor.requiredFeatures ?? []);
    if (has) features.add("subgroups");
    const device = await request.call(this, { ...descriptor, requiredFeatures: features });
    scope.apprenticeHasSubgroups = has;
    void device.lost.then(({ reason, message }) => onLost(message || reason));
    return device;
  };
}
